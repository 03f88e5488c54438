//go:build linux

package integration

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// foreignCases are about what another client of the server does meanwhile.
func foreignCases() []conformanceCase {
	return []conformanceCase{
		{name: "made-elsewhere", run: madeElsewhere},
		{name: "changed-elsewhere", prepare: func(t testing.TB, served string) {
			put(t, served+"/f.txt", []byte("version one"))
		}, run: changedElsewhere, remote: true},
	}
}

// A name that was not there when the folder was listed, and is by now, is not
// made anew: O_EXCL fails, and an append goes to what is there.
func madeElsewhere(t testing.TB, e env) {
	shFails(t, e.Dir, "stat theirs || stat log || exit 1")
	put(t, e.served("theirs"), []byte("theirs"))
	put(t, e.served("log"), []byte("theirs\n"))
	time.Sleep(1100 * time.Millisecond) // what is younger than a second may be believed
	f, err := os.OpenFile(e.path("theirs"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	wantErrno(t, err, syscall.EEXIST)
	if err == nil {
		f.Close()
	}
	e.Holds(t, "theirs", []byte("theirs"))
	sh(t, e.Dir, "echo ours >> log")
	e.Holds(t, "log", []byte("theirs\nours\n"))
	e.Same(t)
}

// A version that was made from one that is no longer on the server does not
// replace what is: both are kept.
func changedElsewhere(t testing.TB, e env) {
	f := openFile(t, e.path("f.txt"), os.O_RDWR)
	must(t, errOf(io.ReadAll(f))) // what is not here when it changes is lost: then close is ESTALE
	must(t, errOf(f.WriteAt([]byte("VERSION"), 0)))
	put(t, e.served("f.txt"), []byte("what somebody else wrote"))
	must(t, f.Close())
	must(t, holds(e.served("f.txt"), []byte("what somebody else wrote")))
	ours, err := filepath.Glob(e.served("f.conflict-*.txt"))
	must(t, err)
	if len(ours) != 1 {
		t.Fatalf("our version is in %q", ours)
	}
	e.Holds(t, filepath.Base(ours[0]), []byte("VERSION one"))
	eventually(t, 5*time.Second, func() error { return holds(e.path("f.txt"), []byte("what somebody else wrote")) })
	e.Same(t)
}
