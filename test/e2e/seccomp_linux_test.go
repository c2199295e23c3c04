package e2e

import (
	"bufio"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
)

// everything is a script that has a box do all that VMM and shim have a hand in.
const everything = `set -e
"$0" run -d --name a --cpus 2 --allow-host 1 -p 0:80 boxlite/base sleep 1000
"$0" exec a sh -c 'wget -q -T 5 http://host.boxlite.internal:1/ || true'
"$0" exec a sh -c 'dd if=/dev/urandom of=/big bs=1M count=30 2>/dev/null; sync; rm /big; sync; echo x > /y; sync'
echo hello | "$0" exec -i a cat
"$0" pause a
"$0" resume a
"$0" stop a
"$0" start a
"$0" kill a
"$0" run --rm boxlite/base sh -c 'head -c 3000000 /dev/zero' >/dev/null
"$0" rm -f a
`

// TestSeccompListsAreMinimal runs boxes under strace and names what the lists allow in
// every run, and nothing used. (That they are sufficient, all other tests show.)
func TestSeccompListsAreMinimal(t *testing.T) {
	ofVMM := jail.RoleQEMU
	if needMachine(t).Engine == "kvm" {
		ofVMM = jail.RoleVMM
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "--pidns-translation", "-s", "16", "-o", trace,
		"sh", "-c", everything, program)
	cmd.Env = append(os.Environ(), "BOXLITE_HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	used := callsByRole(t, trace, ofVMM)
	for _, role := range []jail.Role{ofVMM, jail.RoleShimNetwork} {
		always, sometimes, err := jail.Allowed(role)
		if err != nil {
			t.Fatal(err)
		}
		if len(used[role]) == 0 {
			t.Fatalf("nothing is seen of the role %s", role)
		}
		for _, name := range always {
			if !used[role][name] {
				t.Errorf("%s: nothing used %s", role, name)
			}
		}
		var also []string
		for _, name := range sometimes {
			if used[role][name] {
				also = append(also, name)
			}
		}
		t.Logf("%s: used here, of what is allowed for some runs only: %s", role, strings.Join(also, " "))
	}
}

var (
	// A line is a thread ID and a system call, which may be continued later.
	traceLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?([a-z0-9_]+)`)
	newThread = regexp.MustCompile(`= (\d+)(?: /\* (\d+) in strace's PID NS \*/)?$`)
)

// callsByRole reads what each role did once it was under its filter.
func callsByRole(t *testing.T, trace string, ofVMM jail.Role) map[jail.Role]map[string]bool {
	t.Helper()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	startsRole := map[string]jail.Role{`"boxlite-shim"`: jail.RoleShimNetwork, `"boxlite-jail"`: ofVMM}
	used := map[jail.Role]map[string]bool{jail.RoleShimNetwork: {}, ofVMM: {}}
	process := map[string]string{} // the process of each thread
	role := map[string]jail.Role{} // of each process
	filtered := map[string]bool{}  // the processes under a filter
	cloning := map[string]bool{}   // the threads that are making one
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		match := traceLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		thread, call := match[1], match[2]
		p := cmp.Or(process[thread], thread)
		for name, r := range startsRole {
			if call == "execve" && strings.Contains(line, "["+name) {
				role[p] = r
			}
		}
		if call == "clone" {
			if strings.Contains(line, "CLONE_THREAD") {
				cloning[thread] = true
			}
			if made := newThread.FindStringSubmatch(line); made != nil && cloning[thread] {
				id := made[1]
				if made[2] != "" {
					id = made[2]
				}
				process[id] = p
				cloning[thread] = false
			}
		}
		if r, ok := role[p]; ok && filtered[p] && !strings.Contains(line, "resumed>") {
			used[r][call] = true
		}
		if call == "seccomp" && strings.Contains(line, "SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC") && role[p] != "" {
			filtered[p] = true
		}
	}
	return used
}
