package fs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
)

// Ctrl-C on a program that waits in a read of a stalled server ends it at
// once, and what it waited for soon after.
func TestProgramThatWaitsForAStalledServerCanBeKilled(t *testing.T) {
	r := mount(t)
	r.put("f", strings.Repeat("x", 1<<20))
	undo := r.srv.Fault(ftptest.StallData("RETR", 0))
	defer undo()
	c := exec.Command("cat", filepath.Join(r.dir, "f"))
	c.Dir = "/"
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a RETR", func() bool { return r.srv.Count("RETR") > 0 })
	began := time.Now()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || time.Since(began) > time.Second {
		t.Errorf("cat ended after %v: %v", time.Since(began), err)
	}
	eventually(t, "no busy session", func() bool { return r.pool.Status().Busy == 0 })
	undo()
	if got := r.sh("wc -c < f"); got != "1048576" {
		t.Errorf("the file has %s bytes then", got)
	}
}

// eventually waits for what other processes and goroutines bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is never ", what)
		}
	}
}
