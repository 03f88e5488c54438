// Package integration tests the real binary: it builds ftpfs with the race
// detector, starts real FTP servers on loopback, mounts them and works in the
// mounts with the tools that people use. It owns nothing of the product and
// imports nothing of it; what it knows is the command line, the mount and the
// folder that the server serves.
//
// It needs Linux, root, fuse3, ProFTPD, vsftpd, Pure-FTPd and pyftpdlib. What
// is missing is a failure, never a skip. Environment:
//
//	FTPFS_TEST_PROFTPD    the ProFTPD binary (default /usr/sbin/proftpd)
//	FTPFS_TEST_VSFTPD     the vsftpd binary (default of this and the next two:
//	                      what scripts/test-deps.sh unpacked, else Debian's)
//	FTPFS_TEST_PUREFTPD   the pure-ftpd binary
//	FTPFS_TEST_PYFTPDLIB  the __init__.py of pyftpdlib
//	FTPFS_TEST_PYTHON     what runs it (default /usr/bin/python3)
//	FTPFS_ARGS            more flags for every mount
//	FTPFS_TEST_SEED       seed of the crash test (default: the clock)
//	FTPFS_UPDATE_README   1: write what the conformance suite found into the
//	                      table of ../README.md, instead of comparing
//
// Nothing outside the run's own folder under the temporary folder is changed:
// a server runs in a mount namespace where /etc/passwd, /etc/shadow and
// /etc/pam.d are replaced by throw-away ones, and in a process namespace that
// ends with it. A janitor process waits for the end of the run, whatever ends
// it, and removes what is left; in a run that ended by itself anything left
// is a failure. See main_test.go.
package integration
