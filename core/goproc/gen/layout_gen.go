// layout_gen derives the rows of core/goproc/go_layout.h from the debug information of Go programs.
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

func field(name, path string) place { return place{offsetOf, name, path} }
func size(name string) place        { return place{sizeOf, name, ""} }
func value(name string) place       { return place{valueOf, name, ""} }

func rows(prefix, structure string, pairs ...string) []row {
	var list []row
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, row{member: prefix + pairs[i], from: []place{field(structure, pairs[i+1])}})
	}
	return list
}

func concat(lists ...[]row) []row {
	var all []row
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

func funcID(member, before, since string) row {
	return row{member: member, from: []place{value("internal/abi." + since), value("runtime." + before)}}
}

// The rows of GO_LAYOUT_MEMBERS.
var members = concat(
	rows("moduledata_", "runtime.moduledata",
		"gofunc", "gofunc", "textsectmap", "textsectmap", "next", "next",
		"types", "types", "etypes", "etypes", "rodata", "rodata", "end", "end"),
	[]row{
		{member: "moduledata_typelinks", optional: true, from: []place{field("runtime.moduledata", "typelinks")}},
		{member: "moduledata_bytes", from: []place{size("runtime.moduledata")}},
		{member: "func_fixed_bytes", from: []place{size("runtime._func")}},
		{member: "func_start_line", optional: true, from: []place{field("runtime._func", "startLine")}},
		{member: "func_id", from: []place{field("runtime._func", "funcID")}},
		{member: "inline_node_bytes", from: []place{size("runtime.inlinedCall")}},
		{member: "inline_func_id", from: []place{field("runtime.inlinedCall", "funcID")}},
		{member: "inline_name", from: []place{field("runtime.inlinedCall", "nameOff"), field("runtime.inlinedCall", "func_")}},
		{member: "inline_parent_pc", from: []place{field("runtime.inlinedCall", "parentPc")}},
		{member: "inline_start_line", optional: true, from: []place{field("runtime.inlinedCall", "startLine")}},
		funcID("funcid_wrapper", "funcID_wrapper", "FuncIDWrapper"),
		funcID("funcid_gopanic", "funcID_gopanic", "FuncID_gopanic"),
		funcID("funcid_panicwrap", "funcID_panicwrap", "FuncID_panicwrap"),
		funcID("funcid_sigpanic", "funcID_sigpanic", "FuncID_sigpanic"),
		{member: "record_cycle_bytes", from: []place{size("runtime.memRecordCycle")}},
	},
	rows("gc_", "runtime.gcControllerState",
		"percent_heap_goal", "gcPercentHeapGoal", "sweep_dist_min_trigger", "sweepDistMinTrigger",
		"triggered", "triggered", "heap_live", "heapLive", "heap_marked", "heapMarked",
		"heap_in_use", "heapInUse", "heap_released", "heapReleased", "heap_free", "heapFree",
		"total_alloc", "totalAlloc", "total_free", "totalFree", "mapped_ready", "mappedReady"),
	rows("stats_", "runtime.mstats",
		"gen", "heapStats.gen", "stacks_sys", "stacks_sys", "mspan_sys", "mspan_sys",
		"mcache_sys", "mcache_sys", "buckhash_sys", "buckhash_sys", "gc_misc_sys", "gcMiscSys",
		"other_sys", "other_sys", "last_gc_unix", "last_gc_unix", "pause_total_ns", "pause_total_ns",
		"pause_ns", "pause_ns", "pause_end", "pause_end", "numgc", "numgc",
		"numforcedgc", "numforcedgc", "gc_cpu_fraction", "gc_cpu_fraction"),
	[]row{{member: "delta_in_ptr_scalar_bits", optional: true, from: []place{field("runtime.heapStatsDelta", "inPtrScalarBits")}}},
	rows("delta_", "runtime.heapStatsDelta",
		"tiny_alloc_count", "tinyAllocCount", "large_alloc", "largeAlloc",
		"large_alloc_count", "largeAllocCount", "small_alloc_count", "smallAllocCount",
		"large_free", "largeFree", "large_free_count", "largeFreeCount", "small_free_count", "smallFreeCount"),
	[]row{
		{member: "delta_bytes", from: []place{size("runtime.heapStatsDelta")}},
		{member: "p_mcache", from: []place{field("runtime.p", "mcache")}},
		{member: "p_gfree_count", from: []place{field("runtime.p", "gFree.size"), field("runtime.p", "gFree.n")}},
		{member: "mcache_tiny_allocs", from: []place{field("runtime.mcache", "tinyAllocs")}},
		{member: "mcache_alloc", from: []place{field("runtime.mcache", "alloc")}},
	},
	rows("mspan_", "runtime.mspan",
		"npages", "npages", "alloc_count", "allocCount", "spanclass", "spanclass",
		"before_cache", "allocCountBeforeCache"),
	rows("mheap_", "runtime.mheap",
		"spanalloc_inuse", "spanalloc.inuse", "cachealloc_inuse", "cachealloc.inuse"),
	[]row{
		{member: "sched_ngsys", from: []place{field("runtime.schedt", "ngsys")}},
		{member: "sched_gfree_count", from: []place{field("runtime.schedt", "gFree.stack.size"), field("runtime.schedt", "gFree.n")}},
		{member: "sched_gfree_nostack_count", optional: true, from: []place{field("runtime.schedt", "gFree.noStack.size")}},
		funcID("funcid_async_preempt", "funcID_asyncPreempt", "FuncID_asyncPreempt"),
		funcID("funcid_debug_call", "funcID_debugCallV2", "FuncID_debugCallV2"),
		funcID("funcid_cgocallback", "funcID_cgocallback", "FuncID_cgocallback"),
	},
	rows("g_", "runtime.g",
		"syscallsp", "syscallsp", "syscallpc", "syscallpc", "status", "atomicstatus",
		"id", "goid", "waitsince", "waitsince", "waitreason", "waitreason"),
	[]row{{member: "g_parent_id", optional: true, from: []place{field("runtime.g", "parentGoid")}}},
	rows("g_", "runtime.g", "gopc", "gopc", "startpc", "startpc", "lockedm", "lockedm", "labels", "labels"),
	[]row{{member: "g_bytes", from: []place{size("runtime.g")}}},
	rows("m_", "runtime.m", "alllink", "alllink", "createstack", "createstack"),
	[]row{
		{member: "ticks_val", unlinked: true, from: []place{field("runtime.ticksType", "val")}},
		{member: "ticks_start_ticks", optional: true, unlinked: true, from: []place{field("runtime.ticksType", "startTicks")}},
		{member: "ticks_start_time", optional: true, unlinked: true, from: []place{field("runtime.ticksType", "startTime")}},
	},
)

// What go_layout.h says never changed.
var constants = []row{
	{member: "GO_MODULEDATA_PCHEADER", from: []place{field("runtime.moduledata", "pcHeader")}},
	{member: "GO_MODULEDATA_FUNCNAMETAB", from: []place{field("runtime.moduledata", "funcnametab")}},
	{member: "GO_MODULEDATA_CUTAB", from: []place{field("runtime.moduledata", "cutab")}},
	{member: "GO_MODULEDATA_FILETAB", from: []place{field("runtime.moduledata", "filetab")}},
	{member: "GO_MODULEDATA_PCTAB", from: []place{field("runtime.moduledata", "pctab")}},
	{member: "GO_MODULEDATA_PCLNTABLE", from: []place{field("runtime.moduledata", "pclntable")}},
	{member: "GO_MODULEDATA_FTAB", from: []place{field("runtime.moduledata", "ftab")}},
	{member: "GO_MODULEDATA_MINPC", from: []place{field("runtime.moduledata", "minpc")}},
	{member: "GO_MODULEDATA_MAXPC", from: []place{field("runtime.moduledata", "maxpc")}},
	{member: "GO_MODULEDATA_TEXT", from: []place{field("runtime.moduledata", "text")}},
	{member: "GO_MODULEDATA_ETEXT", from: []place{field("runtime.moduledata", "etext")}},
	{member: "GO_MODULEDATA_NOPTRDATA", from: []place{field("runtime.moduledata", "noptrdata")}},
	{member: "GO_MODULEDATA_DATA", from: []place{field("runtime.moduledata", "data")}},
	{member: "GO_MODULEDATA_BSS", from: []place{field("runtime.moduledata", "bss")}},
	{member: "GO_MODULEDATA_NOPTRBSS", from: []place{field("runtime.moduledata", "noptrbss")}},
	{member: "GO_GC_PERCENT", from: []place{field("runtime.gcControllerState", "gcPercent")}},
	{member: "GO_GC_MEMORY_LIMIT", from: []place{field("runtime.gcControllerState", "memoryLimit")}},
	{member: "GO_G_STACK_LO", from: []place{field("runtime.g", "stack.lo")}},
	{member: "GO_G_STACK_HI", from: []place{field("runtime.g", "stack.hi")}},
	{member: "GO_G_SCHED_SP", from: []place{field("runtime.g", "sched.sp")}},
	{member: "GO_G_SCHED_PC", from: []place{field("runtime.g", "sched.pc")}},
	{member: "GO_DELTA_COMMITTED", from: []place{field("runtime.heapStatsDelta", "committed")}},
	{member: "GO_DELTA_RELEASED", from: []place{field("runtime.heapStatsDelta", "released")}},
	{member: "GO_DELTA_IN_HEAP", from: []place{field("runtime.heapStatsDelta", "inHeap")}},
	{member: "GO_DELTA_IN_STACKS", from: []place{field("runtime.heapStatsDelta", "inStacks")}},
	{member: "GO_DELTA_IN_WORK_BUFS", from: []place{field("runtime.heapStatsDelta", "inWorkBufs")}},
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
				wrong = append(wrong, fmt.Sprintf("%s: no rule here derives it: add it to layout_gen.go", member))
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
			if err != nil {
				return err
			}
			comma := ","
			if i == len(infos)-1 {
				comma = ") \\\n"
			}
			fmt.Printf("%6s%s", say(number), comma)
		}
	}
	return nil
}

func main() {
	header := flag.String("check", "", "compare with this go_layout.h")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintf(os.Stderr, "usage: %s [-check go_layout.h] PROGRAM...\n", filepath.Base(os.Args[0]))
		os.Exit(2)
	}
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "layout_gen:", err)
		os.Exit(1)
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
