// layout_gen derives the rows of core/goproc/go_layout.h from the debug information of Go programs;
// go_layout_places.h says what to look for.
//
// Any Go program that was not stripped will do, one for each Go version; the runtime in it is what
// counts.  It needs nothing but Go's standard library (1.19 or newer):
//
//	go run core/goproc/gen/layout_gen.go PROGRAM...                          prints the rows
//	go run core/goproc/gen/layout_gen.go -check core/goproc/go_layout.h PROGRAM...  compares
//
// -check compares the columns of the versions it was given with the committed table, names each
// difference and ends with 1 if there was one.  A new Go version: print, add the column, check.
package main

import (
	"debug/buildinfo"
	"debug/dwarf"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// A row says where the number of one member is found.  Alternatives are tried in order, since names
// moved between versions.  If none exists the member is ABSENT, which only optional rows may be.
// What [unlinked] says so may be missing from a program that does not use it; then nothing is compared.
type row struct {
	member   string
	optional bool
	unlinked bool
	from     []place
}

type placeKind int

const (
	offsetOf placeKind = iota // of path in struct name
	sizeOf                    // of struct name
	valueOf                   // of constant name
)

type place struct {
	kind placeKind
	name string
	path string
}

// The rows of GO_LAYOUT_MEMBERS, and what go_layout.h says never changed; from go_layout_places.h.
var members, constants []row

func parsePlaces(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	line := regexp.MustCompile(`(?m)^\s*X\((\w+),\s*(OFFSET|SIZE|VALUE),\s*(\w+),\s*"([^"]+)",\s*"([^"]*)"\)`)
	kinds := map[string]placeKind{"OFFSET": offsetOf, "SIZE": sizeOf, "VALUE": valueOf}
	for _, match := range line.FindAllStringSubmatch(string(text), -1) {
		if len(members) == 0 || members[len(members)-1].member != match[1] {
			members = append(members, row{member: match[1], optional: match[3] != "NEEDED", unlinked: match[3] == "UNLINKED_IN_SOME"})
		}
		last := &members[len(members)-1]
		last.from = append(last.from, place{kinds[match[2]], match[4], match[5]})
	}
	line = regexp.MustCompile(`(?m)^\s*X\((\w+),\s*"([^"]+)",\s*"([^"]+)"\)`)
	for _, match := range line.FindAllStringSubmatch(string(text), -1) {
		constants = append(constants, row{member: match[1], from: []place{{offsetOf, match[2], match[3]}}})
	}
	if len(members) == 0 || len(constants) == 0 {
		return fmt.Errorf("%s: no places in it", path)
	}
	return nil
}

// debugInfo is the part of a program's DWARF that rows ask for.
type debugInfo struct {
	version   string
	minor     int
	machine   string // "AMD64" or "ARM64"
	structs   map[string]*dwarf.StructType
	constants map[string]int64
}

// absent is what stands for GO_LAYOUT_ABSENT.
const absent = int64(-1)

func wanted() (structs, constants_ map[string]bool) {
	structs, constants_ = map[string]bool{}, map[string]bool{}
	for _, r := range append(append([]row{}, members...), constants...) {
		for _, p := range r.from {
			if p.kind == valueOf {
				constants_[p.name] = true
			} else {
				structs[p.name] = true
			}
		}
	}
	return structs, constants_
}

func read(program string) (*debugInfo, error) {
	build, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	file, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := file.DWARF()
	if err != nil {
		return nil, fmt.Errorf("%s: %w (was it stripped?)", program, err)
	}
	machines := map[elf.Machine]string{elf.EM_X86_64: "AMD64", elf.EM_AARCH64: "ARM64"}
	if machines[file.Machine] == "" {
		return nil, fmt.Errorf("%s: built for %v, which has no layout", program, file.Machine)
	}
	info := &debugInfo{version: build.GoVersion, machine: machines[file.Machine], structs: map[string]*dwarf.StructType{}, constants: map[string]int64{}}
	match := regexp.MustCompile(`^go1\.(\d+)`).FindStringSubmatch(build.GoVersion)
	if match == nil {
		return nil, fmt.Errorf("%s: not a released Go version: %s", program, build.GoVersion)
	}
	info.minor, _ = strconv.Atoi(match[1])
	structs, constantNames := wanted()
	reader := data.Reader()
	for {
		entry, err := reader.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
		if entry == nil {
			return info, nil
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		switch {
		case entry.Tag == dwarf.TagSubprogram:
			reader.SkipChildren()
		case entry.Tag == dwarf.TagStructType && structs[name]:
			kind, err := data.Type(entry.Offset)
			if err != nil {
				return nil, fmt.Errorf("%s: type %s: %w", program, name, err)
			}
			info.structs[name] = kind.(*dwarf.StructType)
			reader.SkipChildren()
		case entry.Tag == dwarf.TagConstant && constantNames[name]:
			if number, ok := entry.Val(dwarf.AttrConstValue).(int64); ok {
				info.constants[name] = number
			}
		}
	}
}

// offset follows a dotted path of members, through typedefs, inside one struct.
func offset(structure *dwarf.StructType, path string) (int64, bool) {
	total := int64(0)
	for _, name := range strings.Split(path, ".") {
		var found *dwarf.StructField
		if structure == nil {
			return 0, false
		}
		for _, member := range structure.Field {
			if member.Name == name {
				found = member
			}
		}
		if found == nil {
			return 0, false
		}
		total += found.ByteOffset
		kind := found.Type
		for {
			typedef, ok := kind.(*dwarf.TypedefType)
			if !ok {
				break
			}
			kind = typedef.Type
		}
		structure, _ = kind.(*dwarf.StructType)
	}
	return total, true
}

func (info *debugInfo) number(r row) (int64, error) {
	for _, p := range r.from {
		structure := info.structs[p.name]
		switch p.kind {
		case offsetOf:
			if at, ok := offset(structure, p.path); ok {
				return at, nil
			}
		case sizeOf:
			if structure != nil {
				return structure.ByteSize, nil
			}
		case valueOf:
			if number, ok := info.constants[p.name]; ok {
				return number, nil
			}
		}
	}
	for _, p := range r.from {
		// A member can only be called absent when the struct it would be in was seen.
		if r.optional && p.kind == offsetOf && info.structs[p.name] != nil {
			return absent, nil
		}
	}
	return 0, fmt.Errorf("%s: nothing in the debug information says where %s is", info.version, r.member)
}

// table is the committed header: numbers by member and minor version for each machine ("" holds
// what is the same on all), and the constants.
type table struct {
	columns   map[string]map[string]map[int]int64
	constants map[string]int64
}

func (t *table) column(member, machine string) (map[int]int64, bool) {
	if column, ok := t.columns[machine][member]; ok {
		return column, true
	}
	column, ok := t.columns[""][member]
	return column, ok
}

func parseRow(text string, minors []int) (map[int]int64, error) {
	cells := strings.Split(text, ",")
	if len(cells) != len(minors) {
		return nil, fmt.Errorf("%d columns, but %d in the heading", len(cells), len(minors))
	}
	column := map[int]int64{}
	for i, cell := range cells {
		cell = strings.TrimSpace(cell)
		if cell == "ABSENT" {
			column[minors[i]] = absent
			continue
		}
		number, err := strconv.ParseInt(cell, 0, 64)
		if err != nil {
			return nil, err
		}
		column[minors[i]] = number
	}
	return column, nil
}

func parseHeader(path string) (*table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed := &table{
		columns:   map[string]map[string]map[int]int64{"": {}, "AMD64": {}, "ARM64": {}},
		constants: map[string]int64{},
	}
	headingLine := regexp.MustCompile(`^/\*\s+member\s+((?:1\.\d+\s+)+)\*/`)
	listLine := regexp.MustCompile(`^#define GO_LAYOUT_MEMBERS_?(\w*)\(X\)`)
	rowLine := regexp.MustCompile(`^\s*X\((\w+),([^)]*)\)`)
	var minors []int
	machine := ""
	for _, line := range strings.Split(string(text), "\n") {
		if match := headingLine.FindStringSubmatch(line); match != nil {
			minors = nil
			for _, version := range strings.Fields(match[1]) {
				minor, _ := strconv.Atoi(strings.TrimPrefix(version, "1."))
				minors = append(minors, minor)
			}
		} else if match := listLine.FindStringSubmatch(line); match != nil {
			machine = match[1]
		} else if match := rowLine.FindStringSubmatch(line); match != nil {
			column, err := parseRow(match[2], minors)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, match[1], err)
			}
			if parsed.columns[machine] == nil {
				return nil, fmt.Errorf("%s: a list for %q: add that machine to layout_gen.go", path, machine)
			}
			parsed.columns[machine][match[1]] = column
		}
	}
	if len(parsed.columns[""]) == 0 {
		return nil, fmt.Errorf("%s: no GO_LAYOUT_MEMBERS with rows in it", path)
	}
	for _, match := range regexp.MustCompile(`(?m)^\s*(GO_\w+) = (\d+),`).FindAllStringSubmatch(string(text), -1) {
		parsed.constants[match[1]], _ = strconv.ParseInt(match[2], 10, 64)
	}
	return parsed, nil
}

func say(number int64) string {
	if number == absent {
		return "ABSENT"
	}
	return strconv.FormatInt(number, 10)
}

// check returns how many numbers were compared and what was found wrong.
func check(header *table, info *debugInfo) (compared int, wrong []string) {
	known := map[string]bool{}
	complain := func(member string, committed, real int64) {
		wrong = append(wrong, fmt.Sprintf("%s %s: %s is %s, the table says %s", info.version, info.machine, member, say(real), say(committed)))
	}
	for _, r := range members {
		known[r.member] = true
		column, ok := header.column(r.member, info.machine)
		if !ok {
			continue // nobody needs it yet
		}
		committed, ok := column[info.minor]
		if !ok {
			return 0, []string{fmt.Sprintf("%s: the table has no column for it", info.version)}
		}
		number, err := info.number(r)
		if err != nil && r.unlinked && info.structs[r.from[0].name] == nil {
			continue
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		} else if compared++; number != committed {
			complain(r.member, committed, number)
		}
	}
	for _, r := range constants {
		committed, ok := header.constants[r.member]
		if !ok {
			continue
		}
		number, err := info.number(r)
		if err != nil {
			wrong = append(wrong, err.Error())
		} else if compared++; number != committed {
			complain(r.member, committed, number)
		}
	}
	for _, columns := range header.columns {
		for member := range columns {
			if !known[member] {
				wrong = append(wrong, fmt.Sprintf("%s: no rule here derives it: add it to go_layout_places.h", member))
			}
		}
	}
	return compared, wrong
}

func print(infos []*debugInfo) error {
	fmt.Print("/*  member                     ")
	for _, info := range infos {
		fmt.Printf("%7s", "1."+strconv.Itoa(info.minor))
	}
	fmt.Println(" */")
	for _, r := range members {
		fmt.Printf("    X(%-26s", r.member+",")
		for i, info := range infos {
			number, err := info.number(r)
			cell := say(number)
			if err != nil && r.unlinked {
				cell = "?" // take a program that uses it
			} else if err != nil {
				return err
			}
			comma := ","
			if i == len(infos)-1 {
				comma = ") \\\n"
			}
			fmt.Printf("%6s%s", cell, comma)
		}
	}
	return nil
}

func main() {
	header := flag.String("check", "", "compare with this go_layout.h")
	places := flag.String("places", "core/goproc/go_layout_places.h", "what to look for")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintf(os.Stderr, "usage: %s [-check go_layout.h] PROGRAM...\n", filepath.Base(os.Args[0]))
		os.Exit(2)
	}
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "layout_gen:", err)
		os.Exit(1)
	}
	if err := parsePlaces(*places); err != nil {
		fail(err)
	}
	var infos []*debugInfo
	for _, program := range flag.Args() {
		info, err := read(program)
		if err != nil {
			fail(err)
		}
		infos = append(infos, info)
	}
	sort.SliceStable(infos, func(i, j int) bool { return infos[i].minor < infos[j].minor })
	if *header == "" {
		if err := print(infos); err != nil {
			fail(err)
		}
		return
	}
	committed, err := parseHeader(*header)
	if err != nil {
		fail(err)
	}
	failed := false
	for _, info := range infos {
		compared, wrong := check(committed, info)
		for _, line := range wrong {
			fmt.Fprintln(os.Stderr, line)
			failed = true
		}
		fmt.Printf("%-10s %s: %d numbers compared, %d wrong\n", info.version, info.machine, compared, len(wrong))
	}
	if failed {
		os.Exit(1)
	}
}
