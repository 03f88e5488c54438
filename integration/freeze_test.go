//go:build linux

package integration

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// frozen are processes that are held by ptrace(2). SIGSTOP does not do: its
// SIGCHLD makes vsftpd wait for the death of a session that only stopped.
type frozen struct {
	work chan func() // for the thread that all calls of ptrace must come from
	pids []int       // touched by that thread alone
}

// Freeze holds the server and its sessions, as if the machine hung.
func (s *server) Freeze() {
	f := &frozen{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for w := range f.work {
			w()
		}
	}()
	s.frozen = f
	f.do(func() {
		for f.hold(s.processes()[1:]) {
		}
	})
}

// hold holds those processes that are not yet, and reports whether there were
// any: they may have had children meanwhile.
func (f *frozen) hold(pids []int) (more bool) {
	for _, pid := range pids {
		if slices.Contains(f.pids, pid) || !running(pid) {
			continue
		}
		err := unix.PtraceSeize(pid)
		if err == nil {
			err = unix.PtraceInterrupt(pid)
		}
		if err == nil {
			_, err = syscall.Wait4(pid, nil, syscall.WALL, nil)
		}
		if err != nil && running(pid) {
			panic(fmt.Sprintf("cannot hold process %d: %v", pid, err))
		}
		f.pids, more = append(f.pids, pid), true
	}
	return more
}

// Thaw lets a frozen server go on.
func (s *server) Thaw() {
	f := s.frozen
	if f == nil {
		return
	}
	s.frozen = nil
	f.do(func() {
		for _, pid := range f.pids {
			unix.PtraceDetach(pid)
		}
	})
	close(f.work)
}

func (f *frozen) do(w func()) {
	done := make(chan struct{})
	f.work <- func() {
		defer close(done)
		w()
	}
	<-done
}
