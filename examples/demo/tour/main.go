// Tour drives the demo service, waits until goprofd has found what is wrong with it, and shows
// that to a person.  It knows nothing that goprofd's REST interface does not tell; reading it is
// a way to learn that interface.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	service := flag.String("service", "", "`URL` of the demo service")
	daemon := flag.String("goprofd", "", "`URL` of goprofd")
	captures := flag.String("captures", "", "`folder` that goprofd keeps captured profiles in")
	goTool := flag.String("go", "go", "the go command, for go tool pprof")
	patience := flag.Duration("patience", 30*time.Second, "how long goprofd has to find everything")
	once := flag.Bool("once", false, "end after the tour")
	flag.Parse()
	if *service == "" || *daemon == "" || *captures == "" {
		fmt.Fprintln(os.Stderr, "tour: -service, -goprofd and -captures are needed")
		os.Exit(2)
	}

	go drive(*service)

	tour := &tour{api: &client{base: *daemon}, target: "demo-shop", captures: *captures, goTool: *goTool}
	missing := tour.run(*patience)
	if len(missing) > 0 {
		fmt.Printf("\nNot seen within %v: %s.\n", *patience, strings.Join(missing, ", "))
		os.Exit(1)
	}
	if *once {
		return
	}
	fmt.Printf("\nTraffic goes on.  Ctrl-C ends everything and removes what it wrote.\n")
	select {} // the shell script ends us
}

// A step is over when look has found what it waits for; it then prints it.
type step struct {
	name string
	look func() (string, bool)
}

type tour struct {
	api      *client
	target   string
	captures string
	goTool   string
}

func (t *tour) run(patience time.Duration) (missing []string) {
	started := time.Now()
	steps := []step{
		{"the target", t.lookForTarget},
		{"top retentions", t.lookForRetentions},
		{"a critical alert", t.lookForAlert},
		{"a suggestion naming the leak", t.lookForSuggestion},
		{"a captured profile", t.lookForCapture},
		{"a suggestion for the wasteful route", t.lookForWaste},
	}
	for _, s := range steps {
		text, found := s.look()
		for !found && time.Since(started) < patience {
			time.Sleep(200 * time.Millisecond)
			text, found = s.look()
		}
		if !found {
			missing = append(missing, s.name)
			continue
		}
		fmt.Printf("\n%s %s\n\n%s", bold(fmt.Sprintf("[%4.1f s]", time.Since(started).Seconds())),
			bold(s.name), indent(text))
	}
	if len(missing) == 0 {
		fmt.Printf("\n%s\n\n%s", bold("look for yourself"), indent(t.urls()))
	}
	return missing
}

func (t *tour) lookForTarget() (string, bool) {
	var targets []target
	if t.api.get("/v1/targets", &targets) != nil {
		return "", false
	}
	for _, one := range targets {
		if one.Name == t.target && one.State == "up" {
			return fmt.Sprintf("%s is pid %d, %s, read from outside: the service has no goprofd code in it\n",
				one.Name, one.PID, one.GoVersion), true
		}
	}
	return "", false
}

func (t *tour) lookForAlert() (string, bool) {
	var alerts []alert
	if t.api.get("/v1/alerts?severity=critical", &alerts) != nil {
		return "", false
	}
	for _, a := range alerts {
		if a.Target == t.target && a.State == "firing" {
			return fmt.Sprintf("%s  %s\nrule %s, since %s\n", strings.ToUpper(a.Severity), a.Message,
				a.Rule, a.Since), true
		}
	}
	return "", false
}

// Where the bug is, and where the most garbage comes from; see service/sessions.go and report.go.
const (
	leakingFunction  = "main.(*sessionStore).remember"
	wastefulFunction = "main.renderReport"
)

func (t *tour) lookForSuggestion() (string, bool) {
	return t.suggestionsNaming(leakingFunction)
}

func (t *tour) lookForWaste() (string, bool) {
	return t.suggestionsNaming(wastefulFunction)
}

func (t *tour) suggestionsNaming(function string) (string, bool) {
	var suggestions []suggestion
	if t.api.get("/v1/suggestions", &suggestions) != nil {
		return "", false
	}
	var text strings.Builder
	for _, s := range suggestions {
		if s.Target == t.target && strings.Contains(s.Message, function) {
			fmt.Fprintf(&text, "%s\nadvice: %s\n(rule %s)\n", s.Message, s.Advice, s.Rule)
		}
	}
	return text.String(), text.Len() > 0
}

func (t *tour) lookForRetentions() (string, bool) {
	var sites []site
	if t.api.get("/v1/metrics/retentions/top?by=site&limit=5&target="+t.target, &sites) != nil || len(sites) == 0 {
		return "", false
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%10s %7s  %-10s  %-26s  %s\n", "RETAINED", "SHARE", "TYPE", "FOR", "WHERE")
	for _, s := range sites {
		fmt.Fprintf(&text, "%10s %6.1f%%  %-10s  %-26s  %s\n", human(s.RetainedBytes), s.RetainedPercent, s.TypeName, s.Tag,
			s.where())
	}
	// Wait until the picture is clear; the alert has a threshold of its own.
	const clearBytes = 16 << 20
	return text.String(), sites[0].Function == leakingFunction && sites[0].RetainedBytes > clearBytes
}

// lookForCapture shows the file that the alert made goprofd write, as the Go tools see it.
func (t *tour) lookForCapture() (string, bool) {
	files, err := filepath.Glob(filepath.Join(t.captures, t.target, "heap-*.pb.gz"))
	if err != nil || len(files) == 0 {
		return "", false
	}
	path := files[len(files)-1] // the one before it is how it was before the alert
	command := exec.Command(t.goTool, "tool", "pprof", "-top", "-nodecount=8", path)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", false
	}
	return "$ go tool pprof -top " + path + "\n" + string(output), true
}

func (t *tour) urls() string {
	base := t.api.base
	rows := [][2]string{
		{base + "/v1/metrics/latest", "the newest snapshot"},
		{base + "/v1/metrics/retentions/top?by=site", "who holds the memory"},
		{base + "/v1/alerts", "alerts"},
		{base + "/v1/suggestions", "suggestions"},
		{base + "/v1/rules", "how each rule is doing"},
		{base + "/metrics", "for Prometheus"},
		{"go tool pprof -http=: " + base + "/debug/pprof/heap", "the flame graph, in a browser"},
	}
	var text strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&text, "%-75s %s\n", row[0], row[1])
	}
	return text.String()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

func human(bytes float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if bytes < 1024 {
			return fmt.Sprintf("%.1f %s", bytes, unit)
		}
		bytes /= 1024
	}
	return fmt.Sprintf("%.1f GiB", bytes)
}

// bold marks headings where a terminal shows them, and leaves pipes and logs plain.
func bold(text string) string {
	info, err := os.Stdout.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\033[1m" + text + "\033[0m"
}
