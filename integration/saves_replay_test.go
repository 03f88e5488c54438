//go:build linux

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// playback does again, in a folder, the calls that a program was seen to make.
type playback struct {
	dir    string
	fds    map[string]int // by the number in the recording
	writes uint64         // so far; each writes something else
}

// call is one line of a recording: what strace wrote, less what says nothing
// here. DATA stands for a buffer, stat for newfstatat and statx with the mode
// and the size that they told, dup for the descriptor of a forked child.
type call struct {
	line   string
	name   string
	args   []string
	result string // a number, or the name of an errno
}

var callLine = regexp.MustCompile(`^(\w+)\((.*)\) = (\d+|E[A-Z]+)$`)

// readCalls reads a recording. Lines that begin with # say where it is from.
func readCalls(t *testing.T, name string) []call {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	var calls []call
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s: not a call: %s", name, line)
		}
		calls = append(calls, call{line, m[1], strings.Split(m[2], ", "), m[3]})
	}
	return calls
}

// run does the calls in turn and ends the test at the first whose result is
// not the recorded one.
func (r *playback) run(t *testing.T, calls []call) {
	t.Helper()
	// A program that another test starts meanwhile would inherit what is open here,
	// and close it: a close(2) that the recorded program did not do, which uploads.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	defer func() {
		for _, fd := range r.fds {
			unix.Close(fd)
		}
	}()
	for i, c := range calls {
		do, ok := replayable[c.name]
		if !ok {
			t.Fatalf("the replay does not know %s", c.line)
		}
		n, err := do(r, c)
		if wanted := recordedErrnos[c.result]; !errors.Is(err, wanted) || err == nil && strconv.Itoa(n) != c.result {
			t.Fatalf("call %d, %s: got %d, %v", i+1, c.line, n, err)
		}
	}
	equal(t, "descriptors left open", len(r.fds), 0)
}

// replayable does one call and returns its result.
var replayable = map[string]func(r *playback, c call) (int, error){
	"openat":   (*playback).open,
	"close":    (*playback).close,
	"write":    (*playback).write,
	"pwrite64": (*playback).write,
	"pread64":  (*playback).read,
	"stat":     (*playback).stat,
	"fstat":    (*playback).stat,
	"lseek": func(r *playback, c call) (int, error) {
		return 0, errOf(unix.Seek(r.fd(c), int64(number(c.args[1])), unix.SEEK_SET))
	},
	"fsync":     func(r *playback, c call) (int, error) { return 0, unix.Fsync(r.fd(c)) },
	"fdatasync": func(r *playback, c call) (int, error) { return 0, unix.Fdatasync(r.fd(c)) },
	"fchmod":    func(r *playback, c call) (int, error) { return 0, unix.Fchmod(r.fd(c), uint32(number(c.args[1]))) },
	"fchown": func(r *playback, c call) (int, error) {
		return 0, unix.Fchown(r.fd(c), number(c.args[1]), number(c.args[2]))
	},
	"chmod": func(r *playback, c call) (int, error) { return 0, unix.Chmod(r.path(c, 0), uint32(number(c.args[1]))) },
	"chown": func(r *playback, c call) (int, error) {
		return 0, unix.Chown(r.path(c, 0), number(c.args[1]), number(c.args[2]))
	},
	"unlink": func(r *playback, c call) (int, error) { return 0, unix.Unlink(r.path(c, 0)) },
	"rename": func(r *playback, c call) (int, error) { return 0, unix.Rename(r.path(c, 0), r.path(c, 1)) },
	"link":   func(r *playback, c call) (int, error) { return 0, unix.Link(r.path(c, 0), r.path(c, 1)) },
	"linkat": (*playback).linkat,
	"access": func(r *playback, c call) (int, error) { return 0, unix.Access(r.path(c, 0), uint32(flags(c.args[1]))) },
	"fcntl": func(r *playback, c call) (int, error) {
		return 0, unix.FcntlFlock(uintptr(r.fd(c)), flags(c.args[1]), &unix.Flock_t{Type: int16(flags(c.args[2]))})
	},
}

func (r *playback) open(c call) (int, error) {
	mode := 0
	if len(c.args) > 2 {
		mode = number(c.args[2])
	}
	fd, err := unix.Open(r.path(c, 0), flags(c.args[1])|unix.O_CLOEXEC, uint32(mode))
	if err != nil {
		return 0, err
	}
	if _, used := r.fds[c.result]; used {
		unix.Close(fd)
		return 0, fmt.Errorf("descriptor %s is open, in the recording it was not", c.result)
	}
	r.fds[c.result] = fd
	return number(c.result), nil
}

// close of what a child inherited reaches the file system like any other.
func (r *playback) close(c call) (int, error) {
	if inherited, ok := strings.CutPrefix(c.args[0], "dup("); ok {
		fd, err := unix.Dup(r.fds[strings.TrimSuffix(inherited, ")")])
		if err != nil {
			return 0, err
		}
		return 0, unix.Close(fd)
	}
	fd := r.fd(c)
	delete(r.fds, c.args[0])
	return 0, unix.Close(fd)
}

func (r *playback) write(c call) (int, error) {
	r.writes++
	data := randomBytes(r.writes, number(c.args[2]))
	if c.name == "write" {
		return unix.Write(r.fd(c), data)
	}
	return unix.Pwrite(r.fd(c), data, int64(number(c.args[3])))
}

func (r *playback) read(c call) (int, error) {
	return unix.Pread(r.fd(c), make([]byte, number(c.args[2])), int64(number(c.args[3])))
}

func (r *playback) stat(c call) (int, error) {
	var st unix.Stat_t
	var err error
	if c.name == "fstat" {
		err = unix.Fstat(r.fd(c), &st)
	} else {
		err = unix.Lstat(r.path(c, 0), &st)
	}
	if err != nil || len(c.args) < 3 {
		return 0, err
	}
	if mode, size := st.Mode&0o7777, st.Size; int(mode) != number(c.args[1]) || int(size) != number(c.args[2]) {
		return 0, fmt.Errorf("mode 0%o, size %d", mode, size)
	}
	return 0, nil
}

func (r *playback) linkat(c call) (int, error) {
	from, _ := strconv.Unquote(c.args[0])
	from = fmt.Sprint("/proc/self/fd/", r.fds[filepath.Base(from)])
	return 0, unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, r.path(c, 1), flags(c.args[2]))
}

// fd returns our descriptor for the first argument, -1 if it is not open.
func (r *playback) fd(c call) int {
	if fd, ok := r.fds[c.args[0]]; ok {
		return fd
	}
	return -1
}

// path returns the argument with this index as a path in the folder.
func (r *playback) path(c call, i int) string {
	name, err := strconv.Unquote(c.args[i])
	if err != nil {
		return "" // ENOENT
	}
	return filepath.Join(r.dir, name)
}

// number reads a decimal or octal argument; what is none is -1, which no
// call takes.
func number(arg string) int {
	n, err := strconv.ParseInt(arg, 0, 64)
	if err != nil {
		return -1
	}
	return int(n)
}

// flags returns the value of names that are joined by |, -1 for an unknown one.
func flags(arg string) int {
	value := 0
	for name := range strings.SplitSeq(arg, "|") {
		v, ok := flagValues[name]
		if !ok {
			return -1
		}
		value |= v
	}
	return value
}

// recordedErrnos has no entry, that is nil, for the results of calls that succeed.
var recordedErrnos = map[string]error{
	"EACCES": unix.EACCES, "EEXIST": unix.EEXIST, "ENOENT": unix.ENOENT, "EOPNOTSUPP": unix.EOPNOTSUPP, "EPERM": unix.EPERM,
}

var flagValues = map[string]int{
	"O_RDONLY": unix.O_RDONLY, "O_WRONLY": unix.O_WRONLY, "O_RDWR": unix.O_RDWR,
	"O_CREAT": unix.O_CREAT, "O_EXCL": unix.O_EXCL, "O_NONBLOCK": unix.O_NONBLOCK, "O_DIRECTORY": unix.O_DIRECTORY, "O_TMPFILE": unix.O_TMPFILE,
	"F_OK": unix.F_OK, "R_OK": unix.R_OK, "W_OK": unix.W_OK, "X_OK": unix.X_OK,
	"F_SETLK": unix.F_SETLK, "F_WRLCK": unix.F_WRLCK, "AT_SYMLINK_FOLLOW": unix.AT_SYMLINK_FOLLOW,
}
