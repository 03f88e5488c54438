//go:build linux

package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The FTP user of the servers. It exists in their namespace only and is
// unprivileged, so that folders of root refuse it. The password has what a
// URL must escape.
const (
	ftpUser     = "tester"
	ftpPassword = "s3cr:t@p/ss%"
	ftpUID      = 61234
	// openssl passwd -6 -salt ftpfstest PASSWORD
	ftpPasswordHash = "$6$ftpfstest$UQk74DLgbvZqcbUUPbdfPXptO7oJe9YSCKQ/fJOIxI1SYWs6EjzYc2pSGQkAriphmtw3OMBCQpYVwqycr8JFG1"
)

// kind is a make of FTP server.
type kind string

const (
	proftpd   kind = "proftpd"
	vsftpd    kind = "vsftpd"
	pureftpd  kind = "pure-ftpd"
	pyftpdlib kind = "pyftpdlib"
	inetutils kind = "inetutils"
)

// allServers is what a test of what a user gets runs over; bothServers, the
// two that differ most, is for tests that need long and look at ftpfs itself.
// everyServer has one more that can less, for what it can: it sets no times,
// which most programs of the other tests want.
var (
	everyServer = []kind{proftpd, vsftpd, pureftpd, pyftpdlib, inetutils}
	allServers  = everyServer[:4:4]
	bothServers = everyServer[:2:2]
)

// server is a running FTP server with a folder of its own.
type server struct {
	kind   kind
	Served string // the folder that the FTP user sees as "/"
	host   string // IP address that it listens at
	Port   int
	conf   string // folder of its configuration
	argv   []string
	cmd    *exec.Cmd // the running server, nil when it is stopped
	output *os.File  // what it writes, kept over restarts
	frozen *frozen   // nil: it runs
	silent bool      // it greets within TLS only
}

// startServer starts a server that serves an empty folder of the FTP user.
// more are lines for its configuration. It is gone when the test ends.
func startServer(t *testing.T, k kind, more ...string) *server {
	t.Helper()
	s := newServer(t, k, "127.0.0.1", more...)
	s.Start(t)
	return s
}

// newServer configures a server that is to listen at the IP address host.
func newServer(t *testing.T, k kind, host string, more ...string) *server {
	t.Helper()
	base := t.TempDir()
	must(t, os.Chmod(filepath.Dir(base), 0o755)) // the FTP user walks through both
	must(t, os.Chmod(base, 0o755))
	s := &server{kind: k, Served: filepath.Join(base, "served"), conf: filepath.Join(base, "conf"), host: host, Port: freePort(t)}
	must(t, os.Mkdir(s.Served, 0o755))
	must(t, os.Chown(s.Served, ftpUID, ftpUID))
	s.configure(t, more)
	s.silent = slices.ContainsFunc(more, func(l string) bool { return strings.Contains(strings.ToLower(l), "implicit") })
	var err error
	s.output, err = os.Create(filepath.Join(s.conf, "output"))
	must(t, err)
	t.Cleanup(func() {
		s.Kill()
		s.output.Close()
		if t.Failed() {
			t.Logf("%s said: %s", k, tailOf(s.output.Name(), 2000))
		}
	})
	return s
}

// Start starts the server, or starts it again on the same port.
func (s *server) Start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(the.launcher, append([]string{"@server", s.conf}, s.argv...)...)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	// Process 1 of a process namespace takes all sessions with it when it
	// is killed; the kernel does that when the run dies.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS,
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	must(t, cmd.Start())
	s.cmd = cmd
	eventually(t, 10*time.Second, func() error {
		if !running(s.cmd.Process.Pid) {
			return fmt.Errorf("%s ended: %s", s.kind, tailOf(s.output.Name(), 2000))
		}
		return s.greets()
	})
}

// greets reports whether a session gets the server's greeting.
func (s *server) greets() error {
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if s.silent {
		return nil
	}
	c.SetDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 3)
	if _, err := c.Read(b); err != nil || string(b) != "220" {
		return fmt.Errorf("greeting %q: %v", b, err)
	}
	_, err = c.Write([]byte("QUIT\r\n"))
	return err
}

// Kill ends the server and all its sessions at once.
func (s *server) Kill() {
	if s.cmd == nil {
		return
	}
	s.Thaw()
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// processes returns the server's processes: the first of its namespace, the
// listener, the sessions.
func (s *server) processes() []int {
	pids := []int{s.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, thread := range threads {
			children, _ := os.ReadFile(thread)
			for _, f := range strings.Fields(string(children)) {
				if pid, err := strconv.Atoi(f); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// Addr is the server's control address.
func (s *server) Addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.Port)) }

// Sessions counts the control connections that no side has closed
// (proc_net(5): state ESTABLISHED), in this thread's network. vsftpd sometimes hangs on a session whose
// client went away during the login; that is not a session of ours any more.
func (s *server) Sessions() int {
	n := 0
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + table)
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", s.Port)) && f[3] == "01" {
				n++
			}
		}
	}
	return n
}

// upload is a file that a server received.
type upload struct {
	Name string
	Size int64
}

// Uploads returns the files that the server's transfer log (xferlog(5)) says
// were received, in order.
func (s *server) Uploads(t *testing.T) []upload {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.conf, "xferlog"))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	var all []upload
	for line := range strings.Lines(string(b)) {
		// Fields 1 to 5 are the date, then duration, host, size, name, type,
		// action, direction.
		f := strings.Fields(line)
		if len(f) > 11 && f[11] == "i" {
			size, err := strconv.ParseInt(f[7], 10, 64)
			must(t, err)
			all = append(all, upload{strings.TrimPrefix(f[8], s.Served), size}) // all but vsftpd log the path on disk
		}
	}
	return all
}

// withContent returns those that brought any bytes. A program that creates a
// file and takes longer than ftpfs waits for it to write has it uploaded empty:
// how many of these there are tells how busy the machine is.
func withContent(all []upload) []upload {
	return slices.DeleteFunc(all, func(u upload) bool { return u.Size == 0 })
}

// runServer is the role of a server's process 1: args are the folder with the
// account files, then the server's own command line. It runs in a mount
// namespace of its own, which the parent made private.
func runServer(args []string) int {
	conf, argv := args[0], args[1:]
	for _, m := range mounts() {
		// A FUSE mount that lives on in this namespace could not be unmounted.
		if strings.HasPrefix(m.fstype, "fuse") {
			unix.Unmount(m.dir, unix.MNT_DETACH)
		}
	}
	for _, name := range []string{"passwd", "group", "shadow", "pam.d", "services"} {
		if err := unix.Mount(filepath.Join(conf, name), "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			return complain(fmt.Errorf("bind /etc/%s: %w", name, err))
		}
	}
	// vsftpd cannot be process 1 itself: it dies of children that are not its own.
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC"}, Files: []uintptr{0, 1, 2}})
	if err != nil {
		return complain(err)
	}
	for {
		var status syscall.WaitStatus
		switch ended, err := syscall.Wait4(-1, &status, 0, nil); {
		case err != nil && err != syscall.EINTR:
			return complain(err)
		case ended == pid && status != 0: // 0: it went into the background
			return complain(fmt.Errorf("%s ended: %v", argv[0], status))
		}
	}
}

// freePort returns a loopback port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
