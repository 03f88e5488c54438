//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// savesAmongSignals writes a file, and closes it when it is told to, while a
// timer sends it signals as git's does for its progress. It prints what close
// returned, and whether signals came.
const savesAmongSignals = `
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
came = []
for s in signal.SIGALRM, signal.SIGURG, signal.SIGWINCH, signal.SIGINT:
    signal.signal(s, lambda s, frame: came.append(s))
    signal.siginterrupt(s, False)
f = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(f, b'saved')
print('ready', flush=True)
sys.stdin.readline()
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
failed = libc.close(f)
print(errno.errorcode[ctypes.get_errno()] if failed else 'closed', len(came) > 0, flush=True)
`

// TestSignals: signals that a program catches and that are not to end it make
// no close fail, however long the server takes; Ctrl-C among them ends it.
func TestSignals(t *testing.T) {
	for _, k := range bothServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			m := mount(t, s, "--timeout=20s")
			for name, want := range map[string]string{"none-ends-it": "closed True\n", "Ctrl-C": "EINTR True\n"} {
				t.Run(name, func(t *testing.T) {
					cmd := exec.Command("python3", "-c", savesAmongSignals, m.Dir+"/"+name)
					cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
					in, err := cmd.StdinPipe()
					must(t, err)
					out, err := cmd.StdoutPipe()
					must(t, err)
					must(t, cmd.Start())
					lines := bufio.NewReader(out)
					equal(t, "first line", lineOf(t, lines), "ready\n")
					s.Freeze()
					defer s.Thaw()
					must(t, errOf(fmt.Fprintln(in)))
					last := make(chan string, 1)
					go func() { last <- lineOf(t, lines) }()
					for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGWINCH} {
						select {
						case line := <-last:
							t.Fatalf("the close did not wait for the server: %s", line)
						case <-time.After(1500 * time.Millisecond): // more than a call gets that is interrupted
						}
						must(t, cmd.Process.Signal(sig))
					}
					began := time.Now()
					if name == "Ctrl-C" {
						must(t, cmd.Process.Signal(syscall.SIGINT))
					} else {
						s.Thaw()
					}
					equal(t, "close", <-last, want)
					if took := time.Since(began); name == "Ctrl-C" && took > interruptLimit {
						t.Errorf("ended %v after Ctrl-C", took)
					}
					must(t, in.Close())
					must(t, cmd.Wait())
				})
			}
			eventually(t, 30*time.Second, func() error {
				for _, name := range []string{"none-ends-it", "Ctrl-C"} {
					if got, err := os.ReadFile(filepath.Join(s.Served, name)); err != nil || string(got) != "saved" {
						return fmt.Errorf("%s has %q, %v", name, got, err)
					}
				}
				return nil
			})
		})
	}
}

func lineOf(t *testing.T, r *bufio.Reader) string {
	line, err := r.ReadString('\n')
	if err != nil && err != io.EOF {
		t.Error(err)
	}
	return line
}
