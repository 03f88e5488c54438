//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configure writes the account files and the configuration of the server.
func (s *server) configure(t *testing.T, more []string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(s.conf, "pam.d"), 0o755))
	must(t, os.Mkdir(filepath.Join(s.conf, "empty"), 0o755))
	s.account(t, "passwd", fmt.Sprintf("%s:x:%d:%[2]d::%s:/bin/sh", ftpUser, ftpUID, s.Served), 0o644)
	s.account(t, "group", fmt.Sprintf("%s:x:%d:", ftpUser, ftpUID), 0o644)
	s.account(t, "shadow", fmt.Sprintf("%s:%s:19000:0:99999:7:::", ftpUser, ftpPasswordHash), 0o600)
	s.write(t, "services", 0o644, fmt.Sprintf("ftp %d/tcp", s.Port)) // inetutils' ftpd has no other way to be told its port
	s.write(t, "pam.d/vsftpd", 0o644, "auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_permit.so")
	switch s.kind {
	case proftpd:
		s.write(t, "auth", 0o600, fmt.Sprintf("%s:%s:%d:%[3]d::%s:/bin/sh", ftpUser, ftpPasswordHash, ftpUID, s.Served))
		s.write(t, "server.conf", 0o644, append(s.proftpdConf(), more...)...)
		s.argv = []string{the.proftpd, "-n", "-c", filepath.Join(s.conf, "server.conf")}
	case vsftpd:
		s.write(t, "server.conf", 0o644, append(s.vsftpdConf(), more...)...)
		s.argv = []string{the.vsftpd, filepath.Join(s.conf, "server.conf")}
	case pureftpd:
		s.argv = append(s.pureftpdArgs(), more...)
	case inetutils:
		s.argv = append([]string{the.inetutils, "--daemon", map[bool]string{true: "--ipv6", false: "--ipv4"}[s.v6()], "--umask=022", "--pidfile=" + s.conf + "/pid"}, more...)
	case pyftpdlib:
		s.write(t, "server.py", 0o644, append(append([]string{pyftpdlibScript}, more...), "server.serve_forever()")...)
		s.argv = []string{the.python, "-I", filepath.Join(s.conf, "server.py"), the.pyftpdlib, s.host, fmt.Sprint(s.Port), s.Served,
			filepath.Join(s.conf, "xferlog"), ftpUser, ftpPassword, fmt.Sprint(ftpUID)}
	}
}

// account writes the system's account file with one more line.
func (s *server) account(t *testing.T, name, line string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile("/etc/" + name)
	must(t, err)
	s.write(t, name, mode, strings.TrimSuffix(string(b), "\n"), line)
}

func (s *server) write(t *testing.T, name string, mode os.FileMode, lines ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(s.conf, name), []byte(strings.Join(lines, "\n")+"\n"), mode))
}

func (s *server) proftpdConf() []string {
	return []string{
		"ServerType standalone",
		fmt.Sprint("Port ", s.Port),
		"DefaultAddress " + s.host,
		"SocketBindTight on", // else the listener ignores DefaultAddress
		"UseIPv6 " + map[bool]string{true: "on", false: "off"}[s.v6()],
		"UseReverseDNS off",
		"User nobody",
		"Group nogroup",
		"ModulePath /usr/lib/proftpd",
		"LoadModule mod_copy.c",      // SITE CPFR, CPTO
		"LoadModule mod_site_misc.c", // SITE SYMLINK, UTIME
		"AuthOrder mod_auth_file.c",
		"AuthUserFile " + s.conf + "/auth",
		"DefaultRoot ~",
		"RequireValidShell off",
		"DelayEngine off",
		"ControlsEngine off",
		"ControlsSocket " + s.conf + "/control",
		"MaxInstances 200",
		"AllowOverwrite on",
		"AllowStoreRestart on",
		"AllowRetrieveRestart on",
		"PidFile " + s.conf + "/pid",
		"ScoreboardFile " + s.conf + "/score",
		"SystemLog " + s.conf + "/log",
		"TransferLog " + s.conf + "/xferlog",
		"WtmpLog off",
	}
}

func (s *server) vsftpdConf() []string {
	listen := []string{"listen=YES", "listen_address=" + s.host}
	if s.v6() {
		listen = []string{"listen=NO", "listen_ipv6=YES", "listen_address6=" + s.host}
	}
	return append(listen,
		fmt.Sprint("listen_port=", s.Port),
		"background=NO",
		"seccomp_sandbox=NO", // else sessions die on recent kernels
		"anonymous_enable=NO",
		"local_enable=YES",
		"write_enable=YES",
		"mdtm_write=YES",
		"local_umask=022",
		"local_root="+s.Served,
		"chroot_local_user=YES",
		"allow_writeable_chroot=YES",
		"pam_service_name=vsftpd",
		"secure_chroot_dir="+s.conf+"/empty",
		"delay_failed_login=0",
		"max_clients=0",
		"max_per_ip=0",
		"xferlog_enable=YES",
		"xferlog_std_format=YES",
		"xferlog_file="+s.conf+"/xferlog",
	)
}

// v6 reports whether the server is one for IPv6.
func (s *server) v6() bool { return strings.Contains(s.host, ":") }

// pureftpdArgs is a command line: Pure-FTPd has no configuration file. The
// account is that of /etc/shadow, as its own database costs seconds a login.
func (s *server) pureftpdArgs() []string {
	return []string{
		the.pureftpd,
		"--bind=" + s.host + "," + fmt.Sprint(s.Port),
		"--login=unix", "--noanonymous", "--minuid=1", "--chrooteveryone",
		"--dontresolve", "--tls=0", "--syslogfacility=none",
		"--maxclientsnumber=200", "--maxclientsperip=200",
		"--altlog=xferlog:" + s.conf + "/xferlog",
		"--pidfile=" + s.conf + "/pid",
	}
}

// pyftpdlibScript is a server of this library: one process, which is the
// FTP user. It logs uploads as the other servers do; lines of the test's own
// are run last.
const pyftpdlibScript = `import os, sys, time
library, host, port, served, xferlog, user, password, uid = sys.argv[1:]
sys.path.insert(0, library)
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

log = open(xferlog, "w", buffering=1)

class Handler(FTPHandler):
    authorizer = DummyAuthorizer()

    def on_file_received(self, file):
        log.write("%s 0 127.0.0.1 %d %s b _ i r %s ftp 0 * c\n" % (time.asctime(), os.path.getsize(file), file.replace(" ", "_"), user))

Handler.authorizer.add_user(user, password, served, perm="elradfmwMT")
server = FTPServer((host, int(port)), Handler)
server.max_cons = server.max_cons_per_ip = 200
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
os.umask(0o022)`
