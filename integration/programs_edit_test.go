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

	"golang.org/x/sys/unix"
)

// editorPrograms edit files as people do.
func editorPrograms() []program {
	return []program{
		{name: "vim", run: vimSaves, varies: []string{".*.un~"}},
		{name: "nano", run: nanoSaves},
		{name: "python", run: func(t *testing.T, e env) string {
			script, err := os.ReadFile("testdata/programs/edit.py")
			must(t, err)
			out, errs, err := command(e.Dir, the.python, "-c", string(script))
			if err != nil {
				t.Fatalf("%v: %s%s", err, out, errs)
			}
			return out
		}},
	}
}

// Vim in its ways to save: a new file that is renamed, the old one written
// over, with and without backups and undo files; always with a swap file.
func vimSaves(t *testing.T, e env) string {
	return sh(t, e.Dir, `vi() { vim -es -N -u NONE -i NONE -c 'set updatecount=1' "$@" < /dev/null; }
for how in 'set backupcopy=no' 'set backupcopy=yes' 'set backupcopy=auto' 'set backup' 'set nowritebackup' 'set undofile' 'set nofsync'; do
  f="$(echo $how | tr -dc a-z).txt"; seq 1 2000 > "$f"; chmod 640 "$f"
  vi -c "$how" -c '%s/^1/one/' -c preserve -c '$put =\"last\"' -c w -c '1d' -c 'wq' "$f"
  ls -A | grep -v '\.un~$'; stat -c '%a %n' "$f"
done
vi -c 'normal ifresh' -c x fresh.txt; vi -c 'r fresh.txt' -c 'w! fresh.txt' -c 'saveas other.txt' -c 'q' other
vi -c 'args *.txt' -c 'argdo %s/9/nine/ge | update' -c qa; cat fresh.txt; sha256sum *`)
}

// nano on a terminal: a plain save, one under another name, one with a backup
// and one with a lock file.
func nanoSaves(t *testing.T, e env) string {
	must(t, os.WriteFile(e.path("f"), []byte("one\ntwo\n"), 0o640))
	for i, args := range []string{"f", "-B f", "-G f"} {
		n := openTerminal(t, e.Dir, "nano", strings.Fields("--ignorercfiles "+args)...)
		n.Expect("two")
		if strings.HasPrefix(args, "-G") {
			sh(t, e.Dir, "test -s .f.swp")
		}
		n.Type(fmt.Sprint("line ", i, "\r\x0f")) // ^O writes
		n.Expect("Name to Write")
		if i == 0 {
			n.Type(".txt")
		}
		n.Type("\r")
		if i == 0 {
			n.Expect("DIFFERENT NAME?")
			n.Type("y")
		}
		n.Expect("Wrote ")
		n.Type("\x18") // ^X leaves
		n.Wait()
	}
	e.Gone(t, ".f.swp")
	return sh(t, e.Dir, "ls -A; stat -c '%a %n' *; cat f f.txt f~")
}

// terminal is a program on a terminal of its own.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	side   *os.File // ours of the terminal
	output chan []byte
	seen   bytes.Buffer
}

// openTerminal starts a program in dir on a terminal of 24 by 80.
func openTerminal(t *testing.T, dir, name string, args ...string) *terminal {
	t.Helper()
	side, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	fd := int(side.Fd()) // makes it blocking: reads end when the program does
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	must(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	other, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	defer other.Close()
	c := &terminal{t: t, cmd: exec.Command(name, args...), side: side, output: make(chan []byte, 1000)}
	c.cmd.Dir, c.cmd.Env = dir, append(os.Environ(), "TERM=vt100", "LC_ALL=C.UTF-8", "TZ=UTC")
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = other, other, other
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	must(t, c.cmd.Start())
	go func() {
		defer close(c.output)
		for {
			b := make([]byte, 4096)
			n, err := side.Read(b)
			if err != nil {
				return
			}
			c.output <- b[:n]
		}
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		for range c.output {
		}
		side.Close()
	})
	return c
}

// Expect waits until the program shows the words, after those of the last
// call.
func (c *terminal) Expect(words string) {
	c.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		if i := bytes.Index(c.seen.Bytes(), []byte(words)); i >= 0 {
			c.seen.Next(i + len(words))
			return
		}
		select {
		case b, ok := <-c.output:
			if !ok {
				c.t.Fatalf("%v ended before it showed %q: %q", c.cmd, words, c.seen.String())
			}
			c.seen.Write(b)
		case <-limit:
			c.t.Fatalf("%v did not show %q: %q", c.cmd, words, c.seen.String())
		}
	}
}

// Type sends keys.
func (c *terminal) Type(keys string) {
	c.t.Helper()
	must(c.t, errOf(c.side.WriteString(keys)))
}

// Wait waits for the end of the program.
func (c *terminal) Wait() {
	c.t.Helper()
	watchdog := time.AfterFunc(20*time.Second, func() { c.cmd.Process.Kill() })
	defer watchdog.Stop()
	must(c.t, c.cmd.Wait())
}
