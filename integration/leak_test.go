//go:build linux

package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNothingGrows: work leaves no goroutine and no descriptor behind. The
// goroutines are counted in the stacks that a Go program prints at SIGQUIT.
func TestNothingGrows(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			little, lot := afterWork(t, s, 2), afterWork(t, s, 20)
			t.Logf("after little work %v, after ten times as much %v", little, lot)
			// Sessions come and go, and the runtime keeps a few goroutines.
			if lot.goroutines > little.goroutines+10 {
				t.Errorf("goroutines: %d after little work, %d after more", little.goroutines, lot.goroutines)
			}
			if lot.descriptors > little.descriptors+10 {
				t.Errorf("descriptors: %d after little work, %d after more", little.descriptors, lot.descriptors)
			}
		})
	}
}

// usage is what a process holds.
type usage struct{ goroutines, descriptors int }

// afterWork does n times some work in a mount and counts what is held when
// nothing is pending any more.
func afterWork(t *testing.T, s *server, n int) usage {
	t.Helper()
	m := mount(t, s)
	for i := range n {
		sh(t, m.Dir, fmt.Sprintf(`mkdir n%d; cd n%[1]d; for i in 1 2 3 4 5; do echo $i > f$i; cat f$i >> all; mv f$i g$i; done
			ls -l > /dev/null; grep -r 3 . > /dev/null; head -c 1 all > /dev/null; ! cat missing 2> /dev/null; rm g1; cd ..; rm -r n%[1]d`, i))
		f := openFile(t, m.Dir+"/unlinked", os.O_RDWR|os.O_CREATE)
		must(t, os.Remove(f.Name()))
		must(t, f.Close())
	}
	if o := ftpfs(t, nil, "flush", m.Dir); o.Code != 0 {
		t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
	}
	var u usage
	eventually(t, 10*time.Second, func() error { // descriptors of what RELEASE closes
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.cmd.Process.Pid))
		settled := len(fds) == u.descriptors
		u.descriptors = len(fds)
		if err == nil && !settled {
			err = fmt.Errorf("%d descriptors", u.descriptors)
		}
		return err
	})
	m.killed = true
	must(t, m.cmd.Process.Signal(syscall.SIGQUIT))
	<-m.done
	m.Expect("goroutine ")
	u.goroutines = len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(m.Log(), -1))
	if !strings.Contains(m.Log(), "SIGQUIT") || u.goroutines < 3 {
		t.Errorf("no stacks in the log: %d", u.goroutines)
	}
	return u
}

// TestUploads counts what reaches the server: a redirect is one upload, what
// is not changed is none, and a redirect that a hundred programs share is one
// at the first close, one a second, and the rest.
func TestUploads(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			put(t, s.Served+"/read", []byte("read"))
			m := mount(t, s)
			sh(t, m.Dir, "echo first > first") // may send an empty file to learn that the folder can be written
			sh(t, m.Dir, "echo x > f; echo y > f; cat read f > /dev/null; echo z >> f")
			start := time.Now()
			sh(t, m.Dir, "{ for i in $(seq 100); do /bin/echo $i; done; } > shared")
			most := 5 + 2 + int(time.Since(start)/time.Second)
			m.Unmount(t)
			must(t, holds(s.Served+"/shared", []byte(sh(t, "/", "seq 100")+"\n")))
			eventually(t, 5*time.Second, func() error {
				if n := len(s.Uploads(t)); n < 5 {
					return fmt.Errorf("%d uploads in the log", n)
				}
				return nil
			})
			if all := s.Uploads(t); len(all) > most {
				t.Errorf("four writes and a shared redirect were %d uploads, %d at most are right: %v", len(all), most, all)
			}
		})
	}
}
