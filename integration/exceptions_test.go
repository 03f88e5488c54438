//go:build linux

package integration

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const noSymlinks = "has no command that makes symlinks: EPERM, as FAT says it"

// exceptions are the conformance cases that a server cannot pass, with the
// reason as the README gives it. One that passes fails the run.
var exceptions = map[kind]map[string]string{
	proftpd: {
		"names-star": "MKD refuses names with `*`; files can have them",
	},
	vsftpd: {
		"symlinks-made": noSymlinks,
		"utimes-folder": "sets no times of folders: what sets one succeeds, and does nothing",
	},
	pureftpd: {
		"symlinks-made":          noSymlinks,
		"names-end-space":        "stores a space at the end of a name as `_`: writing such names is refused",
		"names-end-space-listed": "stores a space at the end of a name as `_`: writing such names is refused",
		"names-control":          "takes control characters in names for `_`, and hides names that have them: they are refused",
		"names-control-listed":   "takes control characters in names for `_`, and hides names that have them: they are refused",
		"names-backslash":        "refuses names with `\\`",
		"names-backslash-listed": "refuses names with `\\`",
	},
	inetutils: {
		"symlinks-made": noSymlinks,
		"cp-p":          noTimes,
		"touch":         noTimes,
		"tar":           noTimes,
		"utimes":        noTimes,
		"utimes-folder": noTimes,
		"symlinks":      "follows a symlink to be removed: those to folders, and to nothing, stay",
		"symlinks-rm":   "follows a symlink to be removed: those to folders, and to nothing, stay",
	},
	pyftpdlib: {
		"symlinks-made":       noSymlinks,
		"utimes-folder":       "sets no times of folders: what sets one succeeds, and does nothing",
		"names-latin1":        "knows only UTF-8 names",
		"names-latin1-listed": "knows only UTF-8 names",
		"names-ff":            "knows only UTF-8 names",
		"names-ff-listed":     "knows only UTF-8 names",
	},
}

const noTimes = "sets no times: a file has that of its upload, and setting another is `EOPNOTSUPP`"

// expected is the testing.TB of a case that is expected to fail: it keeps to
// itself what a test would be told. FailNow must be called by the case's own
// goroutine, as of any test.
type expected struct {
	testing.TB
	mu     sync.Mutex
	failed bool
	said   []string
}

// failing runs a case and reports what it failed with; ok is false if it passed.
func failing(t testing.TB, run func(testing.TB)) (said string, ok bool) {
	e := &expected{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(e)
	}()
	<-done
	return strings.Join(e.said, "\n"), e.Failed()
}

func (e *expected) Failed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

func (e *expected) Fail() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = true
}

func (e *expected) FailNow() {
	e.Fail()
	runtime.Goexit()
}

func (e *expected) say(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = append(e.said, strings.TrimSuffix(what, "\n"))
}

func (e *expected) Log(args ...any)                 { e.say(fmt.Sprintln(args...)) }
func (e *expected) Logf(format string, args ...any) { e.say(fmt.Sprintf(format, args...)) }

func (e *expected) Error(args ...any) {
	e.Log(args...)
	e.Fail()
}

func (e *expected) Errorf(format string, args ...any) {
	e.Logf(format, args...)
	e.Fail()
}

func (e *expected) Fatal(args ...any) {
	e.Log(args...)
	e.FailNow()
}

func (e *expected) Fatalf(format string, args ...any) {
	e.Logf(format, args...)
	e.FailNow()
}
