/*
Ftpfs mounts an FTP server as a folder.

	ftpfs [flags] URL MOUNTPOINT
	ftpfs umount MOUNTPOINT
	ftpfs status [--json] MOUNTPOINT
	ftpfs flush MOUNTPOINT
	ftpfs refresh PATH
	ftpfs recover [--list | --to DIR] [--cache-dir DIR]
	ftpfs doctor [--clean] URL
	ftpfs demo [MOUNTPOINT]
	ftpfs version

# Mounting

URL is ftp://[user[:password]@]host[:port]/[dir], percent-encoded, with IPv6
addresses in brackets, or begins with ftpes:// or ftps:// (see Encryption). Without a user the login is anonymous. The directory is
relative to the login directory; it is absolute if it begins with a second
slash or with %2F. The mountpoint is an existing, empty directory. A dead mount
of ftpfs there, left by a process that was killed, is replaced.

The command returns once the mount works; the mount lives on in a process of
its own. With --foreground it stays in the same process, which logs to stderr.
Either way a start that fails leaves nothing mounted.

# Flags

	--cache-dir DIR         copies and the journal of writes; default
	                        $XDG_CACHE_HOME/ftpfs, else ~/.cache/ftpfs, for
	                        root without a home /var/cache/ftpfs
	--cache-size SIZE       bytes of copies to keep, with K, M, G or T (powers
	                        of 1024), also for the next mount; default 10G or
	                        a tenth of the free space, the smaller. What is not
	                        uploaded yet is kept whatever its size
	--read-ahead SIZE       bytes that a download runs ahead of a program that
	                        reads in a row, at most; default 32M
	--prefetch SIZE         bytes of small files to fetch before a program that
	                        reads the files of a directory in turn opens them;
	                        default 8M, 0: none
	--dir-ttl TIME          how long a listing is trusted; default 30s, 0: not
	                        at all
	--charset NAME          charset of the names on the server, as GBK, Shift_JIS,
	                        EUC-KR, windows-1251 or latin1; default UTF-8. A
	                        byte that is no character of it is shown as U+201B
	                        and two hexadecimal digits, and is that byte again
	                        when the name is used
	--max-connections N     sessions at the server at most, 1 to 64; default 8
	--password-file FILE    the first line is the password
	--account NAME          what a few servers want beside the password (ACCT)
	--command COMMAND       an FTP command to send after each login; may be
	                        repeated. The mount fails if it is refused
	--connect-timeout TIME  how long a TCP connection may take; default 10s
	-4, --ipv4, -6, --ipv6  use addresses of that family only
	--bind-address ADDRESS  connect from this address of ours
	--proxy URL             socks5://[user[:password]@]host[:port], or http://
	                        for a proxy with CONNECT; default $ALL_PROXY, unless
	                        $NO_PROXY names the host; none: no proxy
	--pasv-address WHOSE    control (default): data connections go to the server;
	                        reply: to the host that its PASV reply names
	--active                have the server make the data connections
	--active-address ADDR   the address that it is told (EPRT, PORT)
	--active-ports LOW-HIGH the ports that it may connect to; one for each
	                        session and some more
	--trace FILE            append to FILE what is said with the server: time,
	                        number of the session, direction, text. Passwords
	                        are left out; file names are not
	--tls MODE              auto (default), explicit, implicit or off
	--tls-ca FILE           trust the authorities in FILE (PEM), not the system's
	--tls-pin FINGERPRINT   accept only the certificate with this fingerprint
	                        (sha256: and 64 hexadecimal digits); may be repeated
	--tls-insecure          accept any certificate
	--tls-cert, --tls-key   files (PEM) with our own certificate and its key,
	                        which may be in the file of the certificate
	--tls-data clear        encrypt the login only, not files and listings
	--timeout TIME          how long the server may stay silent; default 30s,
	                        at least 1s
	--write through|back    when close(2) returns: with the file on the server
	                        (default), or with it in the journal on this disk,
	                        its upload going on beside
	--upload atomic|direct  atomic (default): to a temporary name, which is
	                        renamed over the file; direct: over the file
	                        itself, of which others can see a part meanwhile
	--retry TIME            for how long close and fsync try again after a lost
	                        connection, before they fail with EIO; default 60s
	--on-conflict MODE      when a file that was written here was changed on
	                        the server since it was opened: keep-both
	                        (default), overwrite or fail (EBUSY, and ours is in
	                        the recovery folder). Files in .git, *.sqlite* and
	                        *.db* always fail
	--local-only GLOB,...   files with such names that are created here stay on
	                        this machine, until they are renamed to another;
	                        default .*.sw?,4913,.fuse_hidden*
	--log-level LEVEL       debug, info (default), warn or error
	--log-file FILE         append the log to FILE
	--uid N, --gid N        owner and group shown; default those of the process
	--umask OCTAL           permission bits to leave out where the server tells
	                        no mode; default the process's umask
	--file-mode OCTAL       permission bits of all files
	--dir-mode OCTAL        permission bits of all directories
	--allow-other           let other users in, as the permission bits allow
	--read-only             refuse every change
	-f, --foreground        do not detach
	-o, --options LIST      options, comma-separated

Times are written 90s, 5m or as plain seconds. Each long flag is also an
option, with dashes or underscores: -o cache_size=1G,allow_other. "\," is a
comma inside a value. Of two that contradict each other the last one counts.

Of mount(8)'s own options ro and rw are --read-only and its opposite; nonempty
allows a mountpoint with files in it, fsname=NAME is shown in /proc/mounts
instead of the URL; [no]dev, [no]suid, [no]exec, noatime and max_read=N are
passed on; defaults, [no]auto, [no]user, users, owner, group, nofail, _netdev,
comment, subtype, default_permissions, [a]sync, dirsync, atime, [no]diratime,
[no]relatime, [no]strictatime, [no]lazytime and x-* are accepted and change
nothing. Any other is an error that names it.

# Passwords

The password comes from the first that has one: --password-file, the URL,
$FTPFS_PASSWORD, ~/.netrc (or $NETRC) and, on a terminal, the user. A netrc
that others can read is not used, and a line on stderr says so. Prefer a file:
a URL stays in the shell's history and shows in ps while the command runs. The
detached process has the password neither in its arguments nor in its
environment. No process that knows it logs it or leaves a core file.

# Encryption

With ftp:// TLS is used where the server offers it. A line in the log says so
if it does not; but a server that has offered it once is not used without again
(ftpes:// and --tls=explicit, and ftps:// and --tls=implicit with port 990,
never do without). A certificate is good if an authority of the system or of
--tls-ca vouches for it and the host of the URL, or if it is known: on a
terminal the user is asked about an unknown one, and without, --tls=auto trusts
the first one of a host, with a warning. Certificates that were accepted so,
and hosts that offered TLS, are kept in $XDG_CONFIG_HOME/ftpfs/known_certs,
else ~/.config/ftpfs/known_certs, for root without a home
/var/lib/ftpfs/known_certs, one "HOST:PORT FINGERPRINT" a line. Whatever else
such a host shows later is refused until its line is removed.

# Unmounting

ftpfs umount, SIGINT and SIGTERM upload what is pending and then unmount. If
files in the mount are open the mountpoint goes away all the same, and the
process ends when they are closed. A second signal ends at once, and so does a
server that cannot be reached for --timeout: what is not uploaded stays in the
journal and goes up with the next mount of the same server and user, and the
exit code is 1. After fusermount3 -u, too, the process goes on until
everything is uploaded; a new mount of that server waits for it up to
--timeout, and then takes over what is left.

# While it is mounted

Ftpfs refresh and SIGHUP forget all cached listings, so that changes made
elsewhere show at once. Ftpfs flush returns when everything written is on the
server; it ends with 1 and names what the server has refused since the last
time without a program's being told. Ftpfs status shows sessions, files that wait for their upload, and
failures.

# What did not reach its server

Ftpfs recover lists what is in the cache folder and not on its server: what
mounts that ended have still to upload, which goes up with the next mount of
that server; what a server refused and what a crash cut off, which stays in the
recovery folder; and files that are to stay here (--local-only). With --to DIR
it moves all of it, except what a running mount has, to DIR/USER@HOST:PORT and
the path on the server, and prints the names.

Ftpfs doctor takes the flags about server, way and encryption, and tries out what
the server can do, in a folder of its own that it removes; each line has what was
tried, what came out, and what would help. With --clean it lists the temporary
names of uploads below the directory of the URL that are older than a day.

# Files

The control socket of a mount is in $XDG_RUNTIME_DIR/ftpfs, for root without
one in /run/ftpfs, else in /tmp/ftpfs-UID. Only its user and root can speak to
it. A detached mount without --log-file logs to log/ in the cache folder; ftpfs
status names the file. It is kept below 10 MiB, with one older part beside it.

# Exit codes

	0  done
	1  the mount failed, or anything else did; also: files are left in the journal
	2  wrong flags, options or URL
	3  the server cannot be reached or refuses the login

Every failure is one line on stderr that says what happened and what to do.

# Limitations

FTP and FTPS only: no SFTP. Files are stored
whole, unless they were only appended to. FTP has no hard links, no device nodes, no extended
attributes and no locks between machines; what an FTP server cannot do fails
with the errno that programs expect. Two machines that write one file do not
see each other's changes before --dir-ttl has passed. On systems other than
Linux the program compiles and is not tested; there ftpfs umount needs the
mount's process to be alive.
*/
package main
