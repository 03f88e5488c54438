package conn

import (
	"context"
	"errors"
	"fmt"
)

// Outcome says what an error means for the server's state.
type Outcome uint8

// The outcomes of a verb that did not succeed.
const (
	Unknown     Outcome = iota // the command may or may not have run: look before repeating
	Refused                    // the server answered no; repeating gives the same answer
	NotExecuted                // the command cannot have run: it may be sent again on another session
)

// What a server's refusal or a failure means, beside fs.ErrNotExist,
// fs.ErrExist, fs.ErrPermission and errors.ErrUnsupported.
var (
	ErrNotEmpty    = errors.New("directory not empty")
	ErrIsDir       = errors.New("is a directory")
	ErrNotDir      = errors.New("not a directory")
	ErrNotOwner    = errors.New("operation not permitted")
	ErrNoSpace     = errors.New("no space left on the server")
	ErrQuota       = errors.New("quota exceeded on the server")
	ErrNameTooLong = errors.New("name too long")
	ErrInvalidName = errors.New("name cannot be used on this server")
	ErrEncoding    = errors.New("the name cannot be written in the server's charset")
	ErrReadOnly    = errors.New("read-only on the server")
	ErrBusy        = errors.New("busy on the server")
	ErrLoop        = errors.New("too many levels of symbolic links")
	ErrCrossDevice = errors.New("cannot be moved between the server's devices")
	ErrOffset      = errors.New("the server refuses the offset")
	ErrShortStore  = errors.New("the server stored another size than was sent")
	ErrConflict    = errors.New("the file was changed on the server meanwhile")
	ErrTooMany     = errors.New("the server refuses more sessions")
	ErrLogin       = errors.New("login refused")
	ErrNeedTLS     = errors.New("the server demands TLS")
	ErrNoTLS       = errors.New("the server offers no TLS")
	ErrCertificate = errors.New("the server's certificate is not accepted")
	ErrResumption  = errors.New("the server wants TLS sessions to be resumed in a way that is not supported")
	ErrTimeout     = errors.New("the server does not answer in time")
	ErrHostDown    = errors.New("the server cannot be reached")
	ErrProtocol    = errors.New("the server broke the protocol")
)

// Error is what a verb of a Session returns: what was asked, what the server
// answered and what that means.
type Error struct {
	Op      string  // the FTP command or "connect", "login", "data"
	Path    string  // "" if none
	Code    int     // reply code; 0 without a reply
	Msg     string  // reply text, one line
	Outcome Outcome //
	Err     error   // one of the sentinels above or of io/fs, or the cause
}

func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Code != 0 {
		return fmt.Sprintf("%s: %d %s (%v)", s, e.Code, e.Msg, e.Err)
	}
	return fmt.Sprintf("%s: %v", s, e.Err)
}

// Unwrap gives errors.Is and errors.As the meaning.
func (e *Error) Unwrap() error { return e.Err }

// OutcomeOf returns what err means for the server's state. A nil error and
// an error that is not an *Error are Unknown.
func OutcomeOf(err error) Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Unknown
}

// IsAway tells whether err says that the server could not be talked to at all,
// or not to the end: asking again later can help. A server that lets nobody in
// is there, and who was interrupted knows nothing of it.
func IsAway(err error) bool {
	if err == nil || OutcomeOf(err) == Refused {
		return false
	}
	for _, there := range []error{ErrProtocol, ErrLogin, ErrNeedTLS, ErrNoTLS, ErrCertificate, ErrResumption, context.Canceled} {
		if errors.Is(err, there) {
			return false
		}
	}
	return true
}
