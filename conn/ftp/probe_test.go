package ftp

import (
	iofs "io/fs"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// vague makes a server refuse as vsftpd does: without a reason.
func vague(srv *ftptest.Server) {
	for verb, text := range map[string]string{
		"CWD": "Failed to change directory.", "SIZE": "Could not get file size.", "MDTM": "Could not get file modification time.",
		"RETR": "Failed to open file.", "DELE": "Delete operation failed.", "RMD": "Remove directory operation failed.",
		"MKD": "Create directory operation failed.", "RNFR": "RNFR command failed.", "RNTO": "Rename failed.", "SITE": "SITE CHMOD command failed.",
	} {
		srv.Fault(ftptest.ReplaceReply(verb, 550, 550, text))
	}
	srv.Fault(ftptest.ReplaceReply("STOR", 550, 553, "Could not create file."))
}

// What a refusal without a reason means is found out by looking.
func TestProbes(t *testing.T) {
	for name, faults := range map[string][]ftptest.Fault{
		"LIST": {ftptest.NoMLSD()},
		"MLSD": {ftptest.ReplaceReply("MLST", 550, 550, "cannot be listed")},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			fill(t, srv, map[string]string{"file": "1", "dir/x": "2", "empty/": "", "closed/x": "3", "closed/sub/": ""})
			vague(srv)
			for _, f := range faults {
				srv.Fault(f)
			}
			s := open(t, srv)
			refused := func(err, meaning error) {
				t.Helper()
				want(t, s, err, meaning, conn.Refused)
			}
			retr := func(path string) error { _, err := s.Open(bg, path, 0, conn.Version{}); return err }
			stor := func(path string) error { _, err := store(s, path, "x", nil); return err }
			list := func(path string) error { _, err := s.List(bg, path); return err }

			refused(retr("/missing"), iofs.ErrNotExist)
			refused(retr("/no/such/thing"), iofs.ErrNotExist)
			refused(retr("/dir"), conn.ErrIsDir)
			refused(retr("/file/x"), conn.ErrNotDir)
			refused(list("/missing"), iofs.ErrNotExist)
			refused(list("/file"), conn.ErrNotDir)
			refused(stor("/dir"), conn.ErrIsDir)
			refused(stor("/no/x"), iofs.ErrNotExist)
			refused(stor("/file/x"), conn.ErrNotDir)
			refused(s.Mkdir(bg, "/dir"), iofs.ErrExist)
			refused(s.Mkdir(bg, "/file"), iofs.ErrExist)
			refused(s.Mkdir(bg, "/no/x"), iofs.ErrNotExist)
			refused(s.Remove(bg, "/dir", conn.KindDir), conn.ErrNotEmpty)
			refused(s.Remove(bg, "/file", conn.KindDir), conn.ErrNotDir)
			refused(s.Remove(bg, "/missing", conn.KindDir), iofs.ErrNotExist)
			refused(s.Remove(bg, "/dir", conn.KindFile), conn.ErrIsDir)
			refused(s.Remove(bg, "/missing", conn.KindFile), iofs.ErrNotExist)
			refused(s.Rename(bg, "/missing", "/x"), iofs.ErrNotExist)
			refused(s.Rename(bg, "/file", "/dir"), conn.ErrNotEmpty)
			refused(s.Rename(bg, "/file", "/empty"), conn.ErrIsDir)
			refused(s.Rename(bg, "/file", "/no/x"), iofs.ErrNotExist)
			refused(s.Chmod(bg, "/missing", 0o600), iofs.ErrNotExist)

			// Refusals for a reason that cannot be seen.
			srv.Fault(ftptest.Refuse("RETR", 550, "Failed to open file.").OnArg("/file"))
			refused(retr("/file"), iofs.ErrPermission)
			srv.Fault(ftptest.Refuse("STOR", 553, "Could not create file."))
			refused(stor("/new"), iofs.ErrPermission)
			srv.Fault(ftptest.Refuse("MKD", 550, "Create directory operation failed."))
			refused(s.Mkdir(bg, "/new"), iofs.ErrPermission)
			srv.Fault(ftptest.Refuse("RMD", 550, "Remove directory operation failed."))
			refused(s.Remove(bg, "/empty", conn.KindDir), iofs.ErrPermission)
			srv.Fault(ftptest.Refuse("CWD", 550, "Failed to change directory.").OnArg("/dir"))
			srv.Fault(ftptest.Refuse("MLSD", 550, "Failed to change directory.").OnArg("/dir"))
			refused(list("/dir"), iofs.ErrPermission)
			for _, closed := range []string{"/closed", "/closed/sub", "/closed/x"} {
				for _, verb := range []string{"CWD", "MLSD", "MLST", "SIZE", "MDTM", "RETR"} {
					srv.Fault(ftptest.Refuse(verb, 550, "Failed.").OnArg(closed))
				}
			}
			refused(list("/closed"), iofs.ErrPermission)
			refused(list("/closed/sub"), iofs.ErrPermission)
			refused(retr("/closed/x"), iofs.ErrPermission)
			wantAlive(t, s)
		})
	}
}

// A reason that the server gives is not looked into.
func TestReasonsAreBelieved(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "1"})
	srv.Fault(ftptest.Refuse("DELE", 550, "/f: No such file or directory"))
	srv.ResetLog()
	want(t, s, s.Remove(bg, "/f", conn.KindFile), iofs.ErrNotExist, conn.Refused)
	if n := len(srv.Log()); n != 1 {
		t.Errorf("%d commands: %v", n, srv.Log())
	}
}

// A probe that fails leaves the refusal as it is.
func TestProbeBroken(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "1"})
	srv.Fault(ftptest.Refuse("DELE", 550, "Delete operation failed."))
	srv.Fault(ftptest.DropBefore("CWD"))
	err := s.Remove(bg, "/f", conn.KindFile)
	if conn.OutcomeOf(err) != conn.Refused || !strings.Contains(err.Error(), "550") || s.Err() == nil {
		t.Errorf("%v, Err %v", err, s.Err())
	}
}
