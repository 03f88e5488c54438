package conn

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func checkReply(t *testing.T, verb, path string, code int, text string, want error, outcome Outcome, vague bool) {
	t.Helper()
	e := ReplyError(verb, path, code, text)
	if !errors.Is(e, want) || e.Outcome != outcome || e.Vague() != vague {
		t.Errorf("%s %q: %d %s: got %v, outcome %d, vague %v; want %v, outcome %d, vague %v",
			verb, path, code, text, e.Err, e.Outcome, e.Vague(), want, outcome, vague)
	}
	if e.Op != verb || e.Path != path || e.Code != code {
		t.Errorf("%s %q: %d %s: the error speaks of %s %q: %d", verb, path, code, text, e.Op, e.Path, e.Code)
	}
}

func TestRecordedReplies(t *testing.T) {
	for server, replies := range recorded {
		t.Run(server, func(t *testing.T) {
			for _, r := range replies {
				outcome := Refused
				if r.want == ErrProtocol {
					outcome = NotExecuted
				}
				checkReply(t, r.verb, r.path, r.code, r.text, r.want, outcome, r.vague)
			}
		})
	}
}

// A path that holds what servers say, and that they echo, changes nothing.
func TestEchoedPathIsNoReason(t *testing.T) {
	paths := []string{
		"/Permission denied", "/d/Permission denied", "/d/No such file or directory", "/d/x: Is a directory",
		"/File exists/not empty", "/TLS required", "/quota/disk full", "/d/too many/\"busy\"", "/d/in use ", "/d/tab\tin use",
		"/d/\xff\xferead-only",
	}
	for server, replies := range recorded {
		for _, r := range replies {
			if len(r.path) < 2 || !strings.Contains(r.text, r.path) {
				continue
			}
			for _, p := range paths {
				outcome := Refused
				text := strings.ReplaceAll(r.text, r.path, p)
				t.Run(server, func(t *testing.T) {
					checkReply(t, r.verb, p, r.code, text, r.want, outcome, r.vague)
				})
			}
		}
	}
	// Only the last component, and the real path behind the server's root.
	checkReply(t, "RETR", "/d/Permission denied", 550, "Permission denied: No such file or directory", fs.ErrNotExist, Refused, false)
	checkReply(t, "MLST", "/d/Permission denied", 550, "'Permission denied' cannot be listed", fs.ErrNotExist, Refused, true)
	checkReply(t, "MLST", "/d/file exists", 550, "file exists: cannot be listed", fs.ErrNotExist, Refused, true)
	checkReply(t, "RNFR", "/d/file exists", 550, "lstat /srv/real/d/file exists: no such file or directory", fs.ErrNotExist, Refused, false)
	checkReply(t, "MKD", `/d/a "file exists"`, 550, `"/d/a ""file exists""" cannot be made`, fs.ErrPermission, Refused, true)
}

// FTP.md's sixth server, goftp.io/server 2.0.3, and replies that the five
// give to more than one command or only in some state.
func TestOtherReplies(t *testing.T) {
	long := "/e/" + strings.Repeat("n", 256)
	for _, r := range []struct {
		verb, path string
		code       int
		text       string
		want       error
		outcome    Outcome
		vague      bool
	}{
		// goftp.io/server
		{"RETR", "/p", 551, "File not available", fs.ErrPermission, Refused, true},
		{"RETR", "/p", 551, "Error reading file", fs.ErrPermission, Refused, true},
		{"STOR", "/p", 450, "error during transfer: open /srv/real/p: permission denied", fs.ErrPermission, Refused, false},
		{"STOR", "/p", 450, "error during transfer: open /srv/real/p: no such file or directory", fs.ErrNotExist, Refused, false},
		{"STOR", "/p", 450, "A dir has the same name", ErrIsDir, Refused, false},
		{"DELE", "/p", 550, "File delete failed.", fs.ErrPermission, Refused, true},
		{"RNFR", "/p", 550, "lstat /srv/real/p: no such file or directory", fs.ErrNotExist, Refused, false},
		{"RNTO", "/p", 550, "rename /srv/real/a /srv/real/p: file exists", fs.ErrExist, Refused, false},
		{"CWD", "/p", 550, "/p is a file", ErrNotDir, Refused, false},
		{"SIZE", "/p", 450, "path /srv/real/p not found", fs.ErrNotExist, Refused, false},
		{"MDTM", "/p", 450, "File not available", fs.ErrNotExist, Refused, true},
		{"MLSD", "/p", 500, "Command not found", errors.ErrUnsupported, Refused, false},
		{"ABOR", "", 500, "Command not found", errors.ErrUnsupported, Refused, false},

		// long names
		{"STOR", long, 550, long + ": File name too long", ErrNameTooLong, Refused, false},
		{"MKD", long, 550, "Can't create directory: File name too long", ErrNameTooLong, Refused, false},
		{"STOR", "/p", 500, "Input line too long.", ErrNameTooLong, Refused, false},
		{"STOR", "/p", 500, "Command too long.", ErrNameTooLong, Refused, false},
		{"STOR", `/a\b`, 553, "Prohibited file name", ErrInvalidName, Refused, false},

		// space
		{"STOR", "/p", 552, "Transfer aborted. Disk quota exceeded", ErrQuota, Refused, false},
		{"STOR", "/p", 452, "Transfer aborted. No space left on device", ErrNoSpace, Refused, false},
		{"STOR", "/p", 552, "Exceeded storage allocation", ErrNoSpace, Refused, false},
		{"STOR", "/p", 426, "Disk full", ErrNoSpace, Refused, false},
		{"MKD", "/p", 550, "/p: No space left on device", ErrNoSpace, Refused, false},
		{"STOR", "/p", 553, "/p: Disk quota exceeded", ErrQuota, Refused, false},

		// other texts
		{"STOR", "/p", 553, "/p: Read-only file system.", ErrReadOnly, Refused, false},
		{"STOR", "/p", 553, "/p: Text file busy.", ErrBusy, Refused, false},
		{"RNTO", "/p", 550, "rename: Invalid cross-device link.", ErrCrossDevice, Refused, false},
		{"RNTO", "/p", 550, "/p: Rename permission denied", fs.ErrPermission, Refused, false},
		{"RETR", "/p", 550, "Access is denied. ", fs.ErrPermission, Refused, false},
		{"RETR", "/p", 550, "The system cannot find the file specified. ", fs.ErrNotExist, Refused, false},
		{"RMD", "/p", 550, "The directory is not empty. ", ErrNotEmpty, Refused, false},
		{"CWD", "/p", 550, "The directory name is invalid. ", ErrNotDir, Refused, false},
		{"DELE", "/p", 550, "The process cannot access the file because it is being used by another process.", ErrBusy, Refused, false},
		{"RETR", "/p", 550, "File not found or access denied", fs.ErrNotExist, Refused, true},
		{"MKD", "/p", 521, `"/p" directory exists`, fs.ErrExist, Refused, false},
		{"MKD", "/p", 521, "no", fs.ErrExist, Refused, false},

		// codes
		{"DELE", "/p", 450, "No permission to delete", fs.ErrPermission, Refused, false},
		{"DELE", "/p", 450, "Requested file action not taken", fs.ErrPermission, Refused, true},
		{"STOR", "/p", 450, "Requested file action not taken", ErrBusy, Refused, true},
		{"LIST", "/p", 450, "Requested file action not taken", fs.ErrNotExist, Refused, true},
		{"APPE", "/p", 451, "Append/Restart not permitted, try again", fs.ErrPermission, Refused, false},
		{"RNTO", "/p", 451, "Local error", errFailed, Refused, false},
		{"STOR", "/p", 451, "Failure writing to local file.", ErrNoSpace, Refused, false},
		{"STOR", "/p", 451, "Error during write to file\nTransfer aborted", ErrNoSpace, Refused, false},
		{"RETR", "/p", 451, "Local error", errFailed, NotExecuted, false},
		{"RETR", "/p", 425, "Unable to build data connection: Operation not permitted", errFailed, NotExecuted, false},
		{"STOR", "/p", 425, "Unable to build data connection: Operation not permitted", errFailed, Unknown, false},
		{"RETR", "/p", 425, "Unable to build data connection: TLS session of data connection not resumed", errFailed, Refused, false},
		{"RETR", "/p", 426, "Failure writing network stream.", io.ErrUnexpectedEOF, NotExecuted, false},
		{"STOR", "/p", 426, "Connection closed; transfer aborted.", io.ErrUnexpectedEOF, Unknown, false},
		{"STOR", "", 501, "'' is no name", ErrInvalidName, Refused, false},
		{"SITE CHMOD", "/p", 501, "CHMOD: mode must be between 0 and 0777", errors.ErrUnsupported, Refused, false},
		{"EPSV", "", 522, "Network protocol not supported, use (1)", errors.ErrUnsupported, Refused, false},
		{"RETR", "/p", 522, "SSL connection failed: session reuse required", errFailed, Refused, false},
		{"AUTH", "", 534, "Local policy on server does not allow TLS secure connections.", fs.ErrPermission, Refused, false},
		{"PROT", "", 503, "PBSZ first", errors.ErrUnsupported, Refused, false},
		{"RETR", "/p", 226, "Transfer complete", ErrProtocol, Unknown, false},
		{"RETR", "/p", 599, "?", errFailed, Refused, false},
	} {
		checkReply(t, r.verb, r.path, r.code, r.text, r.want, r.outcome, r.vague)
	}
}

func TestSessionReplies(t *testing.T) {
	for _, r := range []struct {
		verb    string
		code    int
		text    string
		want    error
		outcome Outcome
	}{
		{"PASS", 530, "Login incorrect.", ErrLogin, Refused},
		{"PASS", 530, "Login authentication failed", ErrLogin, Refused},
		{"login", 530, "Authentication failed.", ErrLogin, Refused},
		{"PASS", 530, "Incorrect password, not logged in", ErrLogin, Refused},
		{"PASS", 430, "Invalid username or password", ErrLogin, Refused},
		{"PASS", 332, "Need account for login", ErrLogin, Refused},
		{"PASS", 331, "Password required for lab", ErrLogin, Refused},
		{"PASS", 500, "OOPS: vsftpd: refusing to run with writable root inside chroot()", ErrLogin, Refused},
		{"PASS", 421, "Maximum login attempts. Disconnecting.", ErrLogin, Refused},
		{"PASS", 530, "Too many authentication failures", ErrLogin, Refused},
		{"connect", 554, "go away", ErrLogin, Refused},

		{"PASS", 530, "Sorry, the maximum number of allowed clients (1) are already connected.", ErrTooMany, NotExecuted},
		{"login", 530, "Sorry, the maximum number of clients (1) for this user are already connected.", ErrTooMany, NotExecuted},
		{"connect", 421, "There are too many connected users, please try later.", ErrTooMany, NotExecuted},
		{"connect", 421, "There are too many connections from your internet address.", ErrTooMany, NotExecuted},
		{"connect", 421, "1 users (the maximum) are already logged in, sorry", ErrTooMany, NotExecuted},
		{"connect", 421, "Too many connections. Service temporarily unavailable.", ErrTooMany, NotExecuted},
		{"connect", 421, "Service not available", ErrTooMany, NotExecuted},
		{"connect", 450, "not now", ErrHostDown, NotExecuted},
		{"CWD", 530, "Too many users", ErrTooMany, NotExecuted},
		{"CWD", 530, "Please login with USER and PASS.", ErrLogin, NotExecuted},
		{"STOR", 532, "Need account for storing files", ErrLogin, Refused},

		{"USER", 530, "Non-anonymous sessions must use encryption.", ErrNeedTLS, Refused},
		{"USER", 550, "SSL/TLS required on the control channel", ErrNeedTLS, Refused},
		{"login", 421, "Sorry, cleartext sessions and weak ciphers are not accepted on this server. Please reconnect using TLS security mechanisms.", ErrNeedTLS, Refused},
		{"USER", 503, "Use AUTH first.", ErrNeedTLS, Refused},
		{"USER", 534, "Policy requires SSL.", ErrNeedTLS, Refused},
		{"USER", 530, "This server does not allow plain FTP. You have to use FTP over TLS.", ErrNeedTLS, Refused},
		{"LIST", 522, "Data connections must be encrypted.", ErrNeedTLS, Refused},

		{"SIZE", 421, "Timeout.", ErrHostDown, NotExecuted},
		{"NOOP", 421, "Idle timeout (4 seconds): closing control connection", ErrHostDown, NotExecuted},
		{"RETR", 421, "Data timeout. Reconnect. Sorry.", ErrHostDown, NotExecuted},
		{"RNFR", 421, "Passive data channel timed out.", ErrHostDown, NotExecuted},
		{"STOR", 421, "Data timeout. Reconnect. Sorry.", ErrHostDown, Unknown},
		{"RNTO", 421, "Passive data channel timed out.", ErrHostDown, Unknown},
		{"DELE", 421, "Timeout - try typing a little faster next time", ErrHostDown, Unknown},
		{"RETR", 500, "OOPS: priv_sock_get_cmd", ErrHostDown, NotExecuted},
		{"MKD", 500, "OOPS: child died", ErrHostDown, Unknown},
	} {
		checkReply(t, r.verb, "", r.code, r.text, r.want, r.outcome, false)
	}
}

// FTP.md's table of texts, in the order of its rows, behind an echoed path and
// without.
func TestTextTable(t *testing.T) {
	for _, row := range []struct {
		want  error
		texts []string
	}{
		{fs.ErrNotExist, []string{"No such file or directory", "not found", "cannot find the file", "can't find it", "Sorry, but that file doesn't exist", "does not exist", "No such directory."}},
		{fs.ErrPermission, []string{"Permission denied.", "Access denied", "Access is denied.", "not allowed", "Forbidden"}},
		{ErrNotOwner, []string{"Operation not permitted"}},
		{fs.ErrExist, []string{"File exists", "already exists"}},
		{ErrNotEmpty, []string{"Directory not empty"}},
		{ErrIsDir, []string{"Is a directory"}},
		{ErrNotDir, []string{"Not a directory", "is a file"}},
		{ErrLoop, []string{"Too many levels of symbolic links"}},
		{ErrNameTooLong, []string{"File name too long", "command too long", "Input line too long."}},
		{ErrInvalidName, []string{"Prohibited file name", "illegal name", "invalid filename", "Invalid file name", "invalid name"}},
		{ErrReadOnly, []string{"Read-only file system"}},
		{ErrBusy, []string{"file in use", "it is being used", "Device or resource busy", "is locked"}},
		{ErrCrossDevice, []string{"Invalid cross-device link"}},
		{ErrQuota, []string{"Disk quota exceeded", "over quota"}},
		{ErrNoSpace, []string{"No space left on device", "disk full", "Insufficient disk space"}},
	} {
		for _, text := range row.texts {
			for _, code := range []int{550, 551, 553, 450, 451} {
				checkReply(t, "DELE", "/p", code, text, row.want, Refused, false)
				checkReply(t, "DELE", "/d/read-only", code, "/d/read-only: "+text, row.want, Refused, false)
			}
		}
	}
	for _, text := range []string{"not a plain file.", "Not a regular file", "I can only retrieve regular files"} {
		checkReply(t, "RETR", "/p", 550, text, ErrIsDir, Refused, true)
	}
	checkReply(t, "RNTO", "/p", 550, "Operation not permitted", ErrIsDir, Refused, true) // ProFTPD
}

// FTP.md's table of codes: the rows that no recorded reply has.
func TestCodeTable(t *testing.T) {
	for _, text := range []string{
		"too many users", "server overloaded", "try later", "Try again later", "please try back later", "maximum number of clients",
		"exceeds the number of connections", "already connected", "simultaneous logins", "no more connections",
	} {
		checkReply(t, "PASS", "", 530, text, ErrTooMany, NotExecuted, false)
		checkReply(t, "connect", "", 421, text, ErrTooMany, NotExecuted, false)
	}
	for _, code := range []int{500, 502, 504} {
		checkReply(t, "SITE CHMOD", "/p", code, "what?", errors.ErrUnsupported, Refused, false)
	}
	for _, code := range []int{501, 503} {
		checkReply(t, "MFMT", "/p", code, "what?", errors.ErrUnsupported, Refused, false)
	}
	for _, code := range []int{521, 534, 536} {
		checkReply(t, "PROT", "", code, "policy", fs.ErrPermission, Refused, false)
	}
	checkReply(t, "RNTO", "/p", 450, "not now", ErrBusy, Refused, true)
	for _, verb := range []string{"SIZE", "MDTM", "STAT", "LIST", "NLST"} {
		checkReply(t, verb, "/p", 450, "not now", fs.ErrNotExist, Refused, true)
	}
	checkReply(t, "DELE", "/p", 503, "bad sequence", ErrProtocol, NotExecuted, false)
	checkReply(t, "RETR", "/p", 554, "offset", ErrOffset, Refused, false)
	checkReply(t, "DELE", "/p", 501, "what?", ErrInvalidName, Refused, false)
}

func TestVagueUntilProbed(t *testing.T) {
	e := ReplyError("STOR", "/p", 553, "Could not create file.")
	if !e.Vague() {
		t.Fatal("a reply without a reason is not vague")
	}
	e.Err = fs.ErrNotExist
	if e.Vague() {
		t.Error("still vague after a probe found the reason")
	}
	if (&Error{Op: "RETR", Path: "/p", Err: ErrTimeout}).Vague() {
		t.Error("an error without a reply is vague")
	}
}

func TestReplyTextIsOneShortLine(t *testing.T) {
	e := ReplyError("RETR", "/p", 550, " a\r\nb\x1b[31m"+strings.Repeat("c", 5000)+": Permission denied\r\n")
	if len(e.Msg) > maxMsg || !strings.HasPrefix(e.Msg, "a  b [31mc") || !errors.Is(e, fs.ErrPermission) {
		t.Errorf("got %q (%v)", e.Msg, e.Err)
	}
	if e := ReplyError("PASS", "", 500, "'PASS hunter2': command not recognized"); strings.Contains(e.Error(), "hunter2") {
		t.Errorf("the password is in the error: %v", e)
	}
}

// No reply makes ReplyError panic or return an error without a meaning.
func TestAnyReply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		verb := rapid.SampledFrom([]string{"RETR", "STOR", "RNTO", "PASS", "connect", "SITE CHMOD", ""}).Draw(t, "verb")
		path := rapid.String().Draw(t, "path")
		e := ReplyError(verb, path, rapid.IntRange(-1, 999).Draw(t, "code"), rapid.String().Draw(t, "a")+path+rapid.String().Draw(t, "b"))
		if e.Err == nil || e.Error() == "" || strings.ContainsAny(e.Msg, "\r\n\x00") {
			t.Fatalf("%+v", e)
		}
		_ = e.Vague()
	})
}
