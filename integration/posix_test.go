//go:build linux

package integration

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// posixMisses are the cases of posixtest that a mount cannot pass, and why.
// One that passes fails the run, so that the list stays true.
var posixMisses = map[string]string{
	"Link":                "FTP has no hard links",
	"LinkUnlinkRename":    "FTP has no hard links",
	"FcntlFlockLocksFile": "asks for a conflict of one process with itself, which POSIX locks do not have: fails on a local disk too",
	"RenameOpenDir":       "skips itself: go-fuse issue 55",
	"XAttr":               "skips itself: no extended attributes",
	"XAttrLarge":          "skips itself: no extended attributes",
	"Tmpfile":             "skips itself: no O_TMPFILE",
	// Only ProFTPD has SITE SYMLINK; see the conformance case symlinks-made.
	"SymlinkReadlink": "no SITE SYMLINK, or a target outside the mounted tree, which is refused",
	"SetattrSymlink":  "no SITE SYMLINK, or a target that does not exist, which ProFTPD refuses",
	"OpenSymlinkRace": "no SITE SYMLINK, or a target outside the mounted tree, which is refused",
}

// Exit statuses of posixCase. A failure is 1, a panic 2; 0 is a case that did
// not run.
const (
	posixFailed  = 1
	posixPassed  = 3
	posixSkipped = 4
)

// TestPosix runs all of go-fuse's posixtest over a mount of each server, and
// what a mount must pass over a local folder.
func TestPosix(t *testing.T) {
	for miss := range posixMisses {
		if posixtest.All[miss] == nil {
			t.Errorf("posixtest has no case %s", miss)
		}
	}
	cases := slices.Sorted(maps.Keys(posixtest.All))
	t.Run("local", func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range cases {
			if posixMisses[name] == "" {
				t.Run(name, func(t *testing.T) { runPosix(t, name, filepath.Join(dir, name)) })
			}
		}
	})
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			m := mount(t, s)
			for _, name := range cases {
				t.Run(name, func(t *testing.T) { runPosix(t, name, filepath.Join(m.Dir, name)) })
			}
			noTemporaries(t, s.Served)
		})
	}
}

// runPosix runs a case in a process of its own, as only that lets a failure
// be expected.
func runPosix(t *testing.T, name, dir string) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	out, errs, err := command("/", the.launcher, "@posix", name, dir)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the case did not run: %v: %s%s", err, out, errs)
	}
	status := exit.ExitCode()
	why, listed := posixMisses[name]
	switch {
	case status != posixPassed && status != posixFailed && status != posixSkipped:
		t.Errorf("%v: %s%s", err, out, errs)
	case listed && status == posixPassed:
		t.Errorf("passed, and is listed as a miss: %s", why)
	case !listed && status != posixPassed:
		t.Errorf("%v: %s%s", err, out, errs)
	}
}

// posixCase is the role that runs one case of posixtest in a folder that is
// empty.
func posixCase(args []string) int {
	if len(args) != 2 || posixtest.All[args[0]] == nil {
		return complain(fmt.Errorf("usage: @posix CASE FOLDER, not %q", args))
	}
	if err := flag.Set("test.v", "true"); err != nil {
		return complain(err)
	}
	run := func(t *testing.T) {
		ended := false // by itself: neither Fatal, Skip nor a panic
		defer func() {
			switch {
			case t.Skipped():
				os.Exit(posixSkipped)
			case ended && !t.Failed():
				os.Exit(posixPassed)
			}
		}()
		posixtest.All[args[0]](t, args[1])
		ended = true
	}
	all := func(pattern, name string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: args[0], F: run}}, nil, nil)
	return posixFailed // never: Main ends the process
}
