//go:build linux

package integration

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// away is a mounted server that can be made to be away.
type away struct {
	m      *mounted
	server *server
	begin  func() // of the outage
	end    func()
}

// outages are the ways in which a server is away.
var outages = map[string]func(t *testing.T, k kind, flags ...string) away{
	"killed": func(t *testing.T, k kind, flags ...string) away {
		s := startServer(t, k)
		m := mount(t, s, flags...)
		return away{m, s, s.Kill, func() { s.Start(t) }}
	},
	"frozen": func(t *testing.T, k kind, flags ...string) away {
		s := startServer(t, k)
		m := mount(t, s, flags...)
		return away{m, s, s.Freeze, s.Thaw}
	},
	"unreachable": func(t *testing.T, k kind, flags ...string) away {
		s, link := startFar(t, k)
		return away{mount(t, s, flags...), s, func() { link("down") }, func() { link("up") }}
	},
}

// The two ends of the link to a far server (RFC 5737). No packet to them can
// leave this machine: their namespaces have no other link and no other route.
const (
	nearAddr = "198.51.100.1"
	farAddr  = "198.51.100.2"
)

// farLink is what makes the link, within the server's network namespace: one
// end stays there, the other goes to the namespace "$1". Then it becomes the
// server.
const farLink = `
	ip link add far type veth peer name near netns "$1"
	ip addr add ` + farAddr + `/30 dev far
	ip link set far up
	shift
	exec "$@"`

// startFar starts a server in a network namespace of its own, which a link
// connects with another new one, where this test and all that it starts are
// from now on. link takes the server's end "down" or "up": then nothing
// arrives there, and nobody is told, as with a cable that is pulled out.
func startFar(t *testing.T, k kind, more ...string) (s *server, link func(state string)) {
	t.Helper()
	ownNetwork(t)
	s = newServer(t, k, farAddr, more...)
	s.startBehind(t, farLink)
	return s, func(state string) {
		sh(t, "/", fmt.Sprintf("nsenter --net=/proc/%d/ns/net ip link set far %s", s.cmd.Process.Pid, state))
	}
}

// startBehind starts the server in a network namespace of its own, by a shell
// script that makes the way to it first: to the interface "near" in the
// namespace "$1", that of this test. It answers there at s.host.
func (s *server) startBehind(t *testing.T, script string) {
	t.Helper()
	here := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	cmd := exec.Command(the.launcher, append([]string{"@server", s.conf, "/bin/sh", "-ec", script, "sh", here}, s.argv...)...)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{ // as in Start
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	must(t, cmd.Start())
	s.cmd = cmd
	eventually(t, 10*time.Second, func() error {
		if _, errs, err := command("/", "ip", "link", "set", "near", "up"); err != nil {
			return fmt.Errorf("%w: %s", err, errs)
		}
		return nil
	})
	sh(t, "/", "ip addr add "+nearAddr+"/30 dev near")
	eventually(t, 10*time.Second, func() error {
		c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// ownNetwork puts this test, and all that it starts, into a network namespace
// where only the loopback is, until its end. The thread must not end with the
// test: the kernel would kill what others have started from it (Pdeathsig).
func ownNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	must(t, err)
	t.Cleanup(func() {
		must(t, unix.Setns(int(before.Fd()), unix.CLONE_NEWNET))
		must(t, before.Close())
		runtime.UnlockOSThread()
	})
	must(t, unix.Unshare(unix.CLONE_NEWNET))
	sh(t, "/", "ip link set lo up")
}

// noneStuck waits until each thread of this process, which makes the calls,
// and each of ftpfs has been seen in another state than that in which no signal
// ends its sleep (proc(5): state D). Tests beside this one may have some of
// their own wait for a server that is away, one after the other.
func noneStuck(t *testing.T, m *mounted) {
	t.Helper()
	stuck := asleep(t, os.Getpid(), m.cmd.Process.Pid)
	eventually(t, 2*faultLimit, func() error {
		now := asleep(t, os.Getpid(), m.cmd.Process.Pid)
		maps.DeleteFunc(stuck, func(task, _ string) bool { return now[task] == "" })
		for task := range stuck {
			return fmt.Errorf("in state D: %s", now[task])
		}
		return nil
	})
}

// asleep returns the stat files of the threads that are in state D.
func asleep(t *testing.T, pids ...int) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		must(t, err)
		if len(tasks) == 0 {
			t.Fatalf("no threads of %d", pid)
		}
		for _, task := range tasks {
			b, _ := os.ReadFile(task) // it may have ended
			if _, state, _ := strings.Cut(string(b), ") "); strings.HasPrefix(state, "D") {
				found[task] = string(b)
			}
		}
	}
	return found
}
