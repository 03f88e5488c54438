//go:build linux

package integration

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestOptions: what the flags and options of a mount do.
func TestOptions(t *testing.T) {
	s := startServer(t, vsftpd)
	put(t, s.Served+"/f", []byte("hello"))
	put(t, s.Served+"/script", []byte("#!/bin/sh\necho ran\n"))
	must(t, os.Chmod(s.Served+"/script", 0o755))
	putDir(t, s.Served+"/d")
	for name, o := range map[string]struct {
		flags []string
		check func(t *testing.T, m *mounted)
	}{
		"read-only":  {[]string{"--read-only"}, checkReadOnly},
		"ro":         {[]string{"-o", "ro"}, checkReadOnly},
		"rw-is-last": {[]string{"-o", "ro,rw"}, func(t *testing.T, m *mounted) { sh(t, m.Dir, "echo x > new; rm new") }},
		"ids": {[]string{"-o", "uid=1234,gid=4321"}, func(t *testing.T, m *mounted) {
			equal(t, "ids", sh(t, m.Dir, "stat -c '%u %g' . f d"), "1234 4321\n1234 4321\n1234 4321")
		}},
		"umask": {[]string{"--umask", "077"}, func(t *testing.T, m *mounted) { // for what the server tells no mode of
			equal(t, "modes", sh(t, m.Dir, "stat -c %a f script d"), "644\n755\n755")
		}},
		"modes": {[]string{"-o", "file-mode=440", "-o", "dir-mode=0550"}, func(t *testing.T, m *mounted) {
			equal(t, "modes", sh(t, m.Dir, "stat -c %a f script d"), "440\n440\n550")
		}},
		"fsname": {[]string{"-o", "fsname=my server"}, func(t *testing.T, m *mounted) {
			e, _ := mountedAt(m.Dir)
			equal(t, "source", e.source, "my server")
			equal(t, "type", e.fstype, "fuse.ftpfs")
		}},
		"default-fsname": {nil, func(t *testing.T, m *mounted) {
			e, _ := mountedAt(m.Dir)
			if !strings.Contains(e.source, s.Addr()) || !strings.Contains(e.options, "nodev") || !strings.Contains(e.options, "nosuid") {
				t.Errorf("mounted as %v", e)
			}
		}},
		"noexec": {[]string{"-o", "noexec,nosuid,nodev,noatime"}, func(t *testing.T, m *mounted) {
			e, _ := mountedAt(m.Dir)
			for _, o := range []string{"noexec", "nosuid", "nodev", "noatime"} {
				if !strings.Contains(e.options, o) {
					t.Errorf("not %s: %s", o, e.options)
				}
			}
			shFails(t, m.Dir, "./script")
		}},
		"exec": {nil, func(t *testing.T, m *mounted) { equal(t, "script", sh(t, m.Dir, "./script"), "ran") }},
		"fstab": {[]string{"-o", "rw,dev,suid,exec,async,sync,atime,noatime,relatime,auto,noauto,user,nouser,defaults,subtype=x,comment=y,_netdev,nofail,x-systemd.automount,X-mount.mkdir"},
			func(t *testing.T, m *mounted) { equal(t, "f", sh(t, m.Dir, "cat f"), "hello") }},
		"flags-as-options": {[]string{"-o", "max-connections=1,dir-ttl=5s,timeout=20,cache-size=100M,log-level=debug"},
			func(t *testing.T, m *mounted) {
				equal(t, "limit", statusOf(t, m.Dir).Sessions.Limit, 1)
				equal(t, "f", sh(t, m.Dir, "cat f; echo x > new; cp -r . ../copy; rm -r new ../copy; cat f d/* 2>/dev/null || true"), "hellohello")
			}},
		"max_read": {[]string{"-o", "max_read=131072"}, func(t *testing.T, m *mounted) { equal(t, "f", sh(t, m.Dir, "cat f"), "hello") }},
		"others": {nil, func(t *testing.T, m *mounted) {
			if out := asNobody(m.Dir, "cat f"); !strings.Contains(out, "can't cd") && !strings.Contains(out, "Permission denied") {
				t.Errorf("another user got %q", out)
			}
		}},
		"allow-other": {[]string{"--allow-other"}, func(t *testing.T, m *mounted) {
			equal(t, "another user reads", asNobody(m.Dir, "cat f"), "hello")
			equal(t, "another user writes", asNobody(m.Dir, "echo x 2>/dev/null > f || echo refused"), "refused\n")
			sh(t, m.Dir, "chmod 600 f")
			equal(t, "another user reads mode 600", asNobody(m.Dir, "cat f"), "cat: f: Permission denied\n")
			sh(t, m.Dir, "chmod 644 f")
		}},
	} {
		t.Run(name, func(t *testing.T) { o.check(t, mount(t, s, o.flags...)) })
	}
}

func checkReadOnly(t *testing.T, m *mounted) {
	equal(t, "f", sh(t, m.Dir, "cat f"), "hello")
	wantErrno(t, os.WriteFile(m.Dir+"/f", nil, 0o644), syscall.EROFS)
	wantErrno(t, os.WriteFile(m.Dir+"/new", nil, 0o644), syscall.EROFS)
	wantErrno(t, os.Mkdir(m.Dir+"/new", 0o755), syscall.EROFS)
	wantErrno(t, os.Remove(m.Dir+"/f"), syscall.EROFS)
	wantErrno(t, os.Rename(m.Dir+"/f", m.Dir+"/g"), syscall.EROFS)
	wantErrno(t, os.Chmod(m.Dir+"/f", 0o600), syscall.EROFS)
	must(t, holds(m.server.Served+"/f", []byte("hello")))
	if e, _ := mountedAt(m.Dir); !strings.Contains(e.options, "ro") {
		t.Errorf("mounted as %v", e)
	}
}

// asNobody runs a script in dir as a user without any rights and returns all
// that it wrote.
func asNobody(dir, script string) string {
	cmd := exec.Command("sh", "-c", "cd "+quote(dir)+" && "+script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61999, Gid: 61999}}
	if err := cmd.Run(); out.Len() == 0 && err != nil {
		return err.Error()
	}
	return out.String()
}
