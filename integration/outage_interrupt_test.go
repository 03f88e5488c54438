//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interruptLimit is how long a program may live after a Ctrl-C.
const interruptLimit = 2 * time.Second

// TestCtrlC: whatever waits for a server that hangs is ended by Ctrl-C, all at
// once, and the mount goes on.
func TestCtrlC(t *testing.T) {
	programs := []string{
		"ls d0", "cat d1/f", "stat d2/f", "cp d3/f OUT", "cp IN d4/new", "rm d5/f", "mv d6/f d6/g", "mkdir d7/new",
		"rmdir d8/empty", "touch d9/f", "mv d10/f OUT", "ls -lR d11", "rm -r d12", "cp -r d13 OUT", "sha256sum large",
	}
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			stock(t, s, len(programs))
			putDir(t, s.Served+"/d8/empty")
			put(t, s.Served+"/large", randomBytes(1, 64<<20))
			m := mount(t, s, "--timeout=20s")
			m.Expect("level=WARN")
			sh(t, m.Dir, "ls")
			s.Freeze()
			defer s.Thaw()
			tmp := t.TempDir()
			put(t, tmp+"/in", randomBytes(2, 200_000))
			together(len(programs), func(i int) {
				interrupted(t, m.Dir, strings.NewReplacer("IN", tmp+"/in", "OUT", fmt.Sprintf("%s/out%d", tmp, i)).Replace(programs[i]))
			})
			noneStuck(t, m)
			s.Thaw()
			eventually(t, 30*time.Second, func() error { return errOf(os.ReadDir(m.Dir + "/d0")) })
			equal(t, "large", sum(m.Dir+"/large"), sum(s.Served+"/large"))
			sh(t, m.Dir, "cat d1/f; echo x > after; ls -lR > /dev/null")
			for _, command := range []string{"flush", "refresh"} {
				if o := ftpfs(t, nil, command, m.Dir); o.Code != 0 {
					t.Errorf("ftpfs %s ended with %d: %s", command, o.Code, o.Stderr)
				}
			}
			// Each of them has done all or nothing.
			env{Dir: m.Dir, Served: s.Served}.Same(t)
			equal(t, "d6", sh(t, s.Served, "ls d6 | wc -l"), "1")
		})
	}
}

// interrupted starts a program in dir, sees it wait, and ends it as a terminal
// does, by SIGINT to its process group.
func interrupted(t *testing.T, dir, line string) {
	// A shell in the background ignores SIGINT, and so would all that it starts.
	cmd := exec.Command("env", append([]string{"--default-signal=INT"}, strings.Fields(line)...)...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		t.Errorf("%s did not wait for the server: %v: %s", line, err, said.Bytes())
		return
	case <-time.After(500 * time.Millisecond):
	}
	start := time.Now()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	select {
	case err := <-done:
		took := time.Since(start)
		t.Logf("%s ended after %v: %v: %s", line, took.Round(time.Millisecond), err, said.Bytes())
		if took > interruptLimit || err == nil {
			t.Errorf("%s ended %v after Ctrl-C: %v", line, took, err)
		}
	case <-time.After(25 * time.Second):
		t.Errorf("%s does not end", line)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}
