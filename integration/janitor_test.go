//go:build linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The janitor of a run that was killed has nobody to tell what it ends, and
// ends it all the same.
func TestJanitorOfKilledRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	exe := filepath.Join(dir, "bin", "ftpfs")
	sh(t, t.TempDir(), "mkdir -p "+dir+"/bin "+dir+"/mnt; cp $(command -v sleep) "+exe)
	left := exec.Command(exe, "600")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir+"/mnt", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left.Process.Kill()
		left.Wait()
		unix.Unmount(dir+"/mnt", unix.MNT_DETACH)
	})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	j := exec.Command(the.launcher, "@janitor", dir)
	j.Stdout, j.Stderr = write, os.Stderr
	err = j.Run()
	write.Close()
	if _, gone := os.Stat(dir); err != nil || running(left.Process.Pid) || !os.IsNotExist(gone) {
		t.Errorf("%v; the process runs: %v; its folder: %v", err, running(left.Process.Pid), gone)
	}
}

// startJanitor starts the process that cleans up after the run. It learns of
// the end by the end of its standard input, so that a panic, a test timeout
// or a kill -9 of the run leaves nothing either. stop ends it and reports
// what it found left over.
func startJanitor(dir string) (stop func() error, err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "@janitor", dir)
	var left bytes.Buffer
	cmd.Stdout, cmd.Stderr = &left, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the run alone
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		err := errors.Join(in.Close(), cmd.Wait())
		if left.Len() > 0 {
			err = errors.Join(err, fmt.Errorf("left over at the end of the run:\n%s", left.Bytes()))
		}
		return err
	}, nil
}

// janitor is the role behind startJanitor: it waits for the end of its input,
// then ends the processes that run the run's binary, detaches the mounts below
// its folder and removes the folder. What it had to end is printed.
func janitor(args []string) int {
	dir := args[0]
	signal.Ignore(syscall.SIGPIPE) // of a run that was killed, nobody reads what is printed
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		complain(err)
	}
	for _, pid := range processesOf(filepath.Join(dir, "bin", "ftpfs")) {
		fmt.Printf("process %d: %q\n", pid, cmdline(pid))
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, mnt := range mountsBelow(dir) {
		fmt.Printf("mount %s\n", mnt)
		if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
			complain(err)
		}
	}
	// A process that was killed may hold files in the folder for a moment.
	deadline := time.Now().Add(10 * time.Second)
	err := os.RemoveAll(dir)
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return complain(err)
	}
	return 0
}

// processesOf returns the ids of the processes that run the executable exe.
func processesOf(exe string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	var pids []int
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == exe {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// running reports whether a process lives; a zombie does not.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// cmdline returns the arguments of a process, separated by spaces.
func cmdline(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
}

// mountEntry is one line of /proc/self/mountinfo.
type mountEntry struct {
	dir, fstype, source, options string
}

// mounts returns the mounts of this mount namespace (proc_pid_mountinfo(5)).
func mounts() []mountEntry {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var all []mountEntry
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		all = append(all, mountEntry{dir: unescape.Replace(f[4]), fstype: g[0],
			source: unescape.Replace(g[1]), options: f[5] + "," + g[2]})
	}
	return all
}

// mountsBelow returns the mount points below dir, the last mounted first.
func mountsBelow(dir string) []string {
	var below []string
	for _, m := range mounts() {
		if strings.HasPrefix(m.dir, dir+"/") {
			below = append([]string{m.dir}, below...)
		}
	}
	return below
}

// mountedAt returns the topmost mount at dir.
func mountedAt(dir string) (mountEntry, bool) {
	all := mounts()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].dir == dir {
			return all[i], true
		}
	}
	return mountEntry{}, false
}
