package guest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// List tells of all executions that are not BoxLite's own.
func (s *executionService) List(context.Context, *boxlitev1.ListRequest) (*boxlitev1.ListResponse, error) {
	sessions := readSessions("/proc")
	response := &boxlitev1.ListResponse{}
	for _, e := range s.executions.all() {
		if !e.request.GetInternal() {
			response.Executions = append(response.Executions, e.info(sessions[e.child.Session()]))
		}
	}
	return response, nil
}

// all returns the executions in the order they started.
func (x *executions) all() []*execution {
	x.mu.Lock()
	list := make([]*execution, 0, len(x.byID))
	for _, e := range x.byID {
		if e != nil {
			list = append(list, e)
		}
	}
	x.mu.Unlock()
	slices.SortFunc(list, func(a, b *execution) int { return a.began.Compare(b.began) })
	return list
}

// maxListedArgs bounds what is told of a command line.
const maxListedArgs = 4 << 10

func (e *execution) info(use session) *boxlitev1.ExecutionInfo {
	p := e.request.GetProcess()
	written, attached := e.out.written()
	info := &boxlitev1.ExecutionInfo{
		Id: e.id, Pid: uint32(e.child.PID), Args: cutArgs(protocol.Strings(p.GetArgs()), maxListedArgs), User: p.GetUser(),
		Tty: p.GetTty(), Stdin: e.stdin != nil, StartedNanos: e.began.UnixNano(),
		StdoutBytes: written[stdout], StderrBytes: written[stderr], Attached: uint32(attached),
	}
	if ended := e.ended.Load(); ended != 0 {
		info.Exited, info.EndedNanos = e.out.exitStatus(), ended
	}
	if info.Exited == nil {
		info.EndedNanos = 0
		info.Processes, info.MemoryBytes, info.CpuNanos = use.processes, use.memory, uint64(use.cpu)
	}
	return info
}

// cutArgs returns as many of the arguments as fit into size bytes, as UTF-8.
func cutArgs(args []string, size int) []string {
	var cut []string
	for _, arg := range args {
		if size -= len(arg) + 1; size < 0 {
			return append(cut, strings.ToValidUTF8(arg[:max(0, len(arg)+size)], "")+"…")
		}
		cut = append(cut, strings.ToValidUTF8(arg, "?"))
	}
	return cut
}

// session is what the processes of one session use.
type session struct {
	processes uint32
	memory    uint64
	cpu       time.Duration
}

// readSessions adds up, for each session, what its processes use now, and what CPU
// time those have used that they waited for.
func readSessions(proc string) map[int]session {
	dir, err := os.Open(proc)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read counts
	sessions := make(map[int]session)
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		text, err := readKernelFile(filepath.Join(proc, name, "stat"))
		if err != nil {
			continue // it has ended
		}
		id, one, ok := parseUse(text)
		if !ok {
			continue
		}
		sum := sessions[id]
		sum.processes++
		sum.memory += one.memory
		sum.cpu += one.cpu
		sessions[id] = sum
	}
	return sessions
}

// parseUse reads of /proc/PID/stat what adds up to a session.
func parseUse(text []byte) (id int, s session, ok bool) {
	_, words := statFields(text)
	const sessionID, userTime, childrenSystemTime, residentPages = 6, 14, 17, 24 // numbers of fields
	if len(words) <= residentPages-firstStatField {
		return 0, session{}, false
	}
	id, err := strconv.Atoi(words[sessionID-firstStatField])
	if err != nil {
		return 0, session{}, false
	}
	for _, ticks := range words[userTime-firstStatField : childrenSystemTime-firstStatField+1] {
		s.cpu += time.Duration(number(ticks)&(1<<48-1)) * clockTick
	}
	s.memory = number(words[residentPages-firstStatField]) * uint64(os.Getpagesize())
	return id, s, true
}
