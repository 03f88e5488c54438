package conn

import (
	"errors"
	"io"
	"io/fs"
	"strings"
)

// errFailed is the meaning of a refusal that gives no other.
var errFailed = errors.New("failed on the server")

// maxMsg bounds in bytes what an Error keeps of a reply. The middle goes
// first: the reason is mostly at the end, behind an echoed path.
const maxMsg = 1024

// ReplyError returns what the server's reply to a command means. It is the
// only place where the text of a reply is looked at.
//
// verb is the FTP command, without its argument but with the subcommand of
// SITE; or "connect" for the greeting and "login" for the login as a whole.
// path is what the command was about, "" if nothing. text is the text of the
// reply without the code; lines are joined.
//
// The meaning is taken from the code, then from the verb, then from the text
// with the echoed path removed, so that a file named "Permission denied" means
// nothing. Where the text gives no reason the error holds the likeliest one
// and Vague is true. The outcome is
//
//   - Refused wherever the server said no;
//   - NotExecuted where it will not talk to this session (421, 503, too many
//     sessions), or a transfer to us was cut: the command may be sent again;
//   - Unknown where a command that changes something met with 421, 425, 426 or
//     451. A 421 proves nothing about the command it seems to answer:
//     pyftpdlib sends one unasked and goes on to run what comes next; and the
//     codes of a cut upload leave a part of the file behind.
//
// An outcome other than Refused means that the session is not to be used again.
func ReplyError(verb, path string, code int, text string) *Error {
	msg := oneLine(text)
	if strings.EqualFold(verb, "PASS") {
		if i := strings.Index(msg, "PASS "); i >= 0 { // inetutils echoes a command it does not know
			msg = msg[:i] + "PASS ..."
		}
	}
	m := interpret(verb, path, code, msg)
	return &Error{Op: verb, Path: path, Code: code, Msg: msg, Outcome: m.outcome, Err: m.err}
}

// Vague reports whether the reply gave no reason, so that Err is the likeliest
// of several: a probe may find a better one, which then replaces Err. A probe
// never turns the failure into a success: the server's state may have changed
// meanwhile.
func (e *Error) Vague() bool {
	m := interpret(e.Op, e.Path, e.Code, e.Msg)
	return m.vague && e.Err == m.err
}

// meaning is what a reply comes down to.
type meaning struct {
	err     error
	outcome Outcome
	vague   bool
}

func interpret(verb, path string, code int, msg string) meaning {
	v := traitsOf(verb)
	text := strings.ToLower(withoutPath(msg, oneLine(path)))
	switch {
	case code < 400 && v.login && code/100 == 3: // 331 after PASS, 332: wants an account
		return no(ErrLogin)
	case code < 400:
		return meaning{err: ErrProtocol}
	case code != 425 && code != 426 && contains(text, demandsTLS):
		return no(ErrNeedTLS)
	case v.login:
		return loginRefusal(code, text)
	case code == 421, code == 500 && strings.HasPrefix(text, "oops"): // vsftpd's last words
		return broken(v, ErrHostDown)
	}
	m := refusal(v, code, text)
	if m.err == ErrInvalidName && len(path) > longPath { // ProFTPD: "Invalid directory name"
		m.err = ErrNameTooLong
	}
	return m
}

// longPath: a server that finds nothing wrong with shorter paths finds longer
// ones too long, whatever it says of them.
const longPath = 1024

// loginRefusal interprets replies before a session is there.
func loginRefusal(code int, text string) meaning {
	blamesUser := contains(text, []string{"attempt", "authentication", "incorrect", "password"})
	switch {
	case !blamesUser && (code == 421 || contains(text, tooMany)):
		return meaning{err: ErrTooMany, outcome: NotExecuted}
	case code/100 == 4 && code != 421 && code != 430:
		return meaning{err: ErrHostDown, outcome: NotExecuted}
	}
	return no(ErrLogin)
}

// refusal interprets 4yz and 5yz replies of a session that is logged in:
// codes that mean one thing whatever the text says, then the text, then the
// code again.
func refusal(v traits, code int, text string) meaning {
	reason, found := byText(v, text)
	switch code {
	case 425:
		if contains(text, []string{"resum", "reuse"}) { // TLS session resumption: again is no better
			return no(errFailed)
		}
		return broken(v, errFailed)
	case 426:
		if v.changes && strings.Contains(text, "none; transfer aborted") { // pyftpdlib: write(2) failed; its errno is lost
			return no(ErrNoSpace)
		}
	case 430, 530, 532:
		switch {
		case contains(text, tooMany):
			return meaning{err: ErrTooMany, outcome: NotExecuted}
		case contains(text, []string{"logged in", "please login"}): // a session that has lost its login
			return meaning{err: ErrLogin, outcome: NotExecuted}
		}
		return no(ErrLogin)
	case 452, 552:
		if strings.Contains(text, "quota") {
			return no(ErrQuota)
		}
		return no(ErrNoSpace)
	case 500, 502, 504: // "500 Command not found": the text speaks of the command, not of the file
		if reason.err == ErrNameTooLong {
			return reason
		}
		return no(errors.ErrUnsupported)
	case 554:
		return no(ErrOffset)
	}
	if found {
		return reason
	}
	return byCode(v, code)
}

// byCode interprets a refusal whose text says nothing.
func byCode(v traits, code int) meaning {
	switch {
	case code == 426:
		return broken(v, io.ErrUnexpectedEOF)
	case code == 450:
		return meaning{err: v.busy, outcome: Refused, vague: true}
	case code == 451 && v.transfer:
		return broken(v, errFailed)
	case v.optional && (code == 501 || code == 503 || code == 522): // 522: not this address family (RFC 2428, 2)
		return no(errors.ErrUnsupported)
	case code == 501:
		return no(ErrInvalidName)
	case code == 503: // what we believe of the session is wrong
		return meaning{err: ErrProtocol, outcome: NotExecuted}
	case code == 521 && v.name == "MKD": // RFC 959, appendix II
		return no(fs.ErrExist)
	case code == 521 || code == 534 || code == 536: // RFC 4217: policy
		return no(fs.ErrPermission)
	case code == 550 || code == 551 || code == 553:
		return meaning{err: v.guess, outcome: Refused, vague: true}
	}
	return no(errFailed)
}

// no is a refusal with a reason.
func no(err error) meaning { return meaning{err: err, outcome: Refused} }

// broken is the meaning of a reply after which the session is useless.
func broken(v traits, err error) meaning {
	if v.changes {
		return meaning{err: err, outcome: Unknown}
	}
	return meaning{err: err, outcome: NotExecuted}
}

// traits is what has to be known of a command to understand its refusal.
type traits struct {
	name     string // in upper case; "SITE" for all of SITE
	login    bool   // there is no session yet
	transfer bool   // uses a data connection
	changes  bool   // changes files: not to be repeated blindly
	optional bool   // a server may lack it; else every server has it
	guess    error  // of a 550, 551 or 553 that gives no reason
	busy     error  // of such a 450: ProFTPD's LIST and goftp.io answer it for what is missing
}

// traitsOf returns the traits of a verb. The guesses are the safe ones: only
// questions assume that what they ask for is absent.
func traitsOf(verb string) traits {
	name, _, _ := strings.Cut(strings.ToUpper(verb), " ")
	t := traits{name: name, guess: errFailed, busy: ErrBusy}
	switch name {
	case "CONNECT", "LOGIN", "USER", "PASS", "ACCT":
		t.login = true
	case "RETR":
		t.transfer, t.guess = true, fs.ErrPermission
	case "STOR", "APPE", "STOU":
		t.transfer, t.changes, t.guess = true, true, fs.ErrPermission
	case "LIST", "NLST":
		t.transfer, t.guess, t.busy = true, fs.ErrNotExist, fs.ErrNotExist
	case "MLSD":
		t.transfer, t.optional, t.guess, t.busy = true, true, fs.ErrNotExist, fs.ErrNotExist
	case "CWD", "RNFR":
		t.guess, t.busy = fs.ErrNotExist, fs.ErrNotExist
	case "SIZE", "MDTM", "MLST", "STAT":
		t.optional, t.guess, t.busy = true, fs.ErrNotExist, fs.ErrNotExist
	case "DELE":
		t.changes, t.guess, t.busy = true, fs.ErrPermission, fs.ErrPermission
	case "RMD", "MKD", "RNTO":
		t.changes, t.guess = true, fs.ErrPermission
	case "MFMT", "MFF", "SITE":
		t.changes, t.optional, t.guess = true, true, fs.ErrPermission
	case "TYPE", "PWD", "PASV", "PORT", "NOOP", "QUIT", "ABOR":
	default: // REST, FEAT, OPTS, EPSV, AUTH: none that we send changes a file
		t.optional = true
	}
	return t
}
