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
	s.write(t, "pam.d/vsftpd", 0o644, "auth required pam_unix.so nodelay", "account required pam_unix.so", "session required pam_permit.so")
	switch s.kind {
	case proftpd:
		s.write(t, "auth", 0o600, fmt.Sprintf("%s:%s:%d:%[3]d::%s:/bin/sh", ftpUser, ftpPasswordHash, ftpUID, s.Served))
		s.write(t, "server.conf", 0o644, append(s.proftpdConf(), more...)...)
		s.argv = []string{the.proftpd, "-n", "-c", filepath.Join(s.conf, "server.conf")}
	case vsftpd:
		s.write(t, "server.conf", 0o644, append(s.vsftpdConf(), more...)...)
		s.argv = []string{the.vsftpd, filepath.Join(s.conf, "server.conf")}
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
		"DefaultAddress 127.0.0.1",
		"SocketBindTight on", // else the listener ignores DefaultAddress
		"UseIPv6 off",
		"UseReverseDNS off",
		"User nobody",
		"Group nogroup",
		"ModulePath /usr/lib/proftpd",
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
	return []string{
		"listen=YES",
		"listen_address=127.0.0.1",
		fmt.Sprint("listen_port=", s.Port),
		"background=NO",
		"seccomp_sandbox=NO", // else sessions die on recent kernels
		"anonymous_enable=NO",
		"local_enable=YES",
		"write_enable=YES",
		"mdtm_write=YES",
		"local_umask=022",
		"local_root=" + s.Served,
		"chroot_local_user=YES",
		"allow_writeable_chroot=YES",
		"pam_service_name=vsftpd",
		"secure_chroot_dir=" + s.conf + "/empty",
		"delay_failed_login=0",
		"max_clients=0",
		"max_per_ip=0",
		"xferlog_enable=YES",
		"xferlog_std_format=YES",
		"xferlog_file=" + s.conf + "/xferlog",
	}
}
