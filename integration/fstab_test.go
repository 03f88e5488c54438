//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// installation is a mount namespace where ftpfs is in /usr/local/bin: mount(8)
// drops $PATH. Its mounts are seen nowhere else, and gone with the test.
type installation struct{ pid string } // of the process that holds it

func install(t *testing.T) installation {
	t.Helper()
	script := "mount --bind " + filepath.Dir(the.program(t)) + " /usr/local/bin && echo ready && exec cat"
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { must(t, errors.Join(in.Close(), cmd.Wait())) })
	must(t, errOf(io.ReadFull(out, make([]byte, len("ready\n")))))
	return installation{fmt.Sprint(cmd.Process.Pid)}
}

// run runs a program there as systemd runs mount(8), with hardly any
// environment, and returns all that it wrote.
func (i installation) run(name string, args ...string) (string, error) {
	call := []string{"-t", i.pid, "--mount", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	for _, variable := range []string{"XDG_RUNTIME_DIR", "TMPDIR", "GORACE"} { // of the run
		call = append(call, variable+"="+os.Getenv(variable))
	}
	out, errs, err := command("/", "nsenter", append(append(call, name), args...)...)
	return out + errs, err
}

// line returns the line of /proc/mounts for dir, "" if there is none.
func (i installation) line(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + i.pid + "/mounts")
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); strings.ReplaceAll(f[1], `\040`, " ") == dir {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// mount mounts with mount(8) and these arguments, and returns the status of
// the mount that must then be at dir.
func (i installation) mount(t *testing.T, dir string, args ...string) mountStatus {
	t.Helper()
	t.Cleanup(func() {
		if i.line(t, dir) != "" {
			i.run("ftpfs", "umount", dir)
		}
	})
	if out, err := i.run("mount", args...); err != nil || out != "" {
		t.Fatalf("mount %q: %v: %s", args, err, out)
	}
	line := strings.Fields(i.line(t, dir))
	if len(line) < 4 {
		t.Fatalf("mount %q mounted nothing at %s", args, dir)
	}
	st := statusOf(t, dir)
	equal(t, "source", line[0], st.URL)
	equal(t, "type", line[2], "fuse.ftpfs")
	for _, o := range []string{"nosuid", "nodev", "rw"} {
		if !slices.Contains(strings.Split(line[3], ","), o) {
			t.Errorf("not %s: %s", o, line[3])
		}
	}
	return st
}

// worksUntilUmount uses the mount, ends it with umount(8), and checks that
// everything is on the server and no process is left.
func (i installation) worksUntilUmount(t *testing.T, s *server, st mountStatus) {
	t.Helper()
	out, err := i.run("sh", "-c", "cd "+quote(st.Mountpoint)+"; cat hello; echo x > new; { /bin/echo 1; /bin/echo 2; } > late")
	if err != nil || out != "hello" {
		t.Errorf("in the mount: %v: %q", err, out)
	}
	if out, err := i.run("umount", st.Mountpoint); err != nil || out != "" {
		t.Errorf("umount: %v: %s", err, out)
	}
	equal(t, "after umount", i.line(t, st.Mountpoint), "")
	eventually(t, 10*time.Second, func() error {
		if running(st.PID) {
			return fmt.Errorf("process %d still lives", st.PID)
		}
		return nil
	})
	url, err := url.Parse(st.URL)
	must(t, err)
	equal(t, "on the server", sh(t, s.Served+url.Path, "cat new late; rm new late"), "x\n1\n2")
	checkLog(t, tailOf(st.Log, 1<<30), nil)
}

// TestMountHelper: `mount -t fuse.ftpfs`, which calls us by way of mount.fuse3.
func TestMountHelper(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			s, dir, cache := startServer(t, k), mountpoint(t), t.TempDir()
			i := install(t)
			put(t, s.Served+"/hello", []byte("hello"))
			options := "nosuid,nodev,password-file=" + passwordFile(t, ftpPassword) + ",cache-dir=" + cache
			st := i.mount(t, dir, "-t", "fuse.ftpfs", s.URL("/"), dir, "-o", options)
			if line := i.line(t, dir); strings.Contains(line, "password") {
				t.Errorf("too much in /proc/mounts: %s", line)
			}
			i.worksUntilUmount(t, s, st)
			if left := pendingIn(cache); len(left) > 0 {
				t.Errorf("pending: %q", left)
			}
			the.found.ended(t, "")
		})
	}
}

// TestMountHelperRefused: mount(8) fails and says why, and nothing is mounted.
func TestMountHelperRefused(t *testing.T) {
	s, dir := startServer(t, vsftpd), mountpoint(t)
	i := install(t)
	cache := ",cache-dir=" + t.TempDir()
	for _, c := range []struct{ options, says string }{
		{"password-file=" + passwordFile(t, "wrong") + cache, "password"},
		{"frobnicate=1" + cache, "frobnicate"},
		{"rw" + cache, "password"},
	} {
		out, err := i.run("mount", "-t", "fuse.ftpfs", s.URL("/"), dir, "-o", c.options)
		if err == nil || !strings.Contains(out, "ftpfs: ") || !strings.Contains(out, c.says) {
			t.Errorf("%s: %v: %s", c.options, err, out)
		}
		equal(t, "mounted", i.line(t, dir), "")
	}
}

// TestFstab: lines of an fstab. mount(8) finds the folder in it, and mount -a
// mounts all that are not noauto.
func TestFstab(t *testing.T) {
	s, base, cache := startServer(t, proftpd), t.TempDir(), t.TempDir()
	i := install(t)
	put(t, s.Served+"/hello", []byte("hello"))
	putDir(t, s.Served+"/a b")
	put(t, s.Served+"/a b/hello", []byte("hello"))
	byHand, atBoot := filepath.Join(base, "by hand"), filepath.Join(base, "boot")
	must(t, errors.Join(os.Mkdir(byHand, 0o755), os.Mkdir(atBoot, 0o755)))
	options := "_netdev,nofail,x-systemd.automount,x-systemd.mount-timeout=5min,nosuid,nodev,password-file=" +
		passwordFile(t, ftpPassword) + ",cache-dir=" + cache
	fstab := filepath.Join(base, "fstab")
	must(t, os.WriteFile(fstab, fmt.Appendf(nil, "%s %s fuse.ftpfs noauto,%s 0 0\n%s %s fuse.ftpfs %[3]s 0 0\n",
		s.URL("/"), strings.ReplaceAll(byHand, " ", `\040`), options, s.URL("/a b/"), atBoot), 0o644))
	st := i.mount(t, atBoot, "-a", "-T", fstab)
	equal(t, "noauto", i.line(t, byHand), "")
	i.worksUntilUmount(t, s, st)
	i.worksUntilUmount(t, s, i.mount(t, byHand, "-T", fstab, byHand))
}

// fstabLine is the line that the README shows.
var fstabLine = regexp.MustCompile(`(?m)^ +(ftp://\S+ +/mnt/ftp +fuse\.ftpfs +\S+ +0 +0)$`)

// TestSystemdUnits: systemd finds nothing to complain of in the units that we
// ship, nor in those that it makes of the README's fstab line.
func TestSystemdUnits(t *testing.T) {
	shipped, err := filepath.Abs("../dist/systemd")
	must(t, err)
	readme := fstabLine.FindStringSubmatch(tailOf("../README.md", 1<<20))
	if readme == nil {
		t.Fatal("the README has no fstab line")
	}
	base, made := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(base+"/fstab", []byte(readme[1]+"\n"), 0o644))
	generator := exec.Command("/lib/systemd/system-generators/systemd-fstab-generator", made, made, made)
	generator.Env = append(os.Environ(), "SYSTEMD_FSTAB="+base+"/fstab", "SYSTEMD_LOG_TARGET=console")
	if out, err := generator.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-fstab-generator: %v: %s", err, out)
	}
	for _, dir := range []string{shipped, made} {
		for _, unit := range []string{"mnt-ftp.mount", "mnt-ftp.automount"} {
			// A key that it does not know is only a warning: nothing may be said.
			out, errs, err := command("/", "systemd-analyze", "verify", "--man=no", filepath.Join(dir, unit))
			if err != nil || out+errs != "" {
				t.Errorf("%s/%s: %v: %s%s", dir, unit, err, out, errs)
			}
		}
	}
}
