package fs

import (
	"os"
	"os/exec"
	"testing"
)

func TestPendingSignals(t *testing.T) {
	status := func(thread, process, blocked string) string {
		return "Name:\ta name\nSigQ:\t0/95\nSigPnd:\t" + thread + "\nShdPnd:\t" + process + "\nSigBlk:\t" + blocked + "\nSigIgn:\t0\n"
	}
	const none = "0000000000000000"
	for name, c := range map[string]struct {
		status string
		wanted bool
	}{
		"none":              {status(none, none, none), true},
		"SIGURG":            {status("0000000000400000", none, none), true},
		"SIGWINCH":          {status(none, "0000000008000000", none), true},
		"SIGALRM":           {status(none, "0000000000002000", none), true},
		"SIGINT":            {status(none, "0000000000000002", none), false},
		"SIGTERM, SIGURG":   {status("0000000000400000", "0000000000004000", none), false},
		"SIGKILL":           {status("0000000000000100", none, none), false},
		"SIGHUP":            {status(none, "0000000000000001", none), false},
		"pthread_cancel":    {status("0000000080000000", none, none), false},
		"SIGINT is blocked": {status(none, "0000000000000002", "0000000000000002"), true},
	} {
		pending, err := pendingSignals([]byte(c.status))
		if err != nil || pending&ends == 0 != c.wanted {
			t.Errorf("%s: %x, %v", name, pending, err)
		}
	}
	for _, bad := range []string{"", "SigPnd:\t0\n", status("none", none, none)} {
		if _, err := pendingSignals([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a status", bad)
		}
	}
}

// A program that is there is wanted; one that has ended is not.
func TestIsWanted(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(cmd.Process.Pid)
	if !isWanted(pid) || !isWanted(uint32(os.Getpid())) {
		t.Error("a process that runs is not wanted")
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if isWanted(pid) {
		t.Error("a process that has ended is wanted")
	}
}
