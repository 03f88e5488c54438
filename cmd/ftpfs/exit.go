package main

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"strings"
	"syscall"

	"ftpfs/conn"
)

// Exit codes, documented in --help and in doc.go.
const (
	exitOK      = 0
	exitFailure = 1 // the mount, or anything else
	exitUsage   = 2 // flags, options, URL
	exitConnect = 3 // the server cannot be reached or refuses the login
)

// exitError is a failure told to the user: one line that says what happened
// and what to do, and the exit code. Without a text it has been told already.
type exitError struct {
	code int
	text string
	cert *unknownCert // a certificate that the user may accept: then it goes on
}

func (e *exitError) Error() string { return e.text }

// failf returns a failure that ends with exitFailure.
func failf(format string, a ...any) error {
	return &exitError{code: exitFailure, text: fmt.Sprintf(format, a...)}
}

// usagef returns a failure that ends with exitUsage.
func usagef(format string, a ...any) error {
	return &exitError{code: exitUsage, text: fmt.Sprintf(format, a...)}
}

// report prints err, if any, as one line and returns its exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if text := oneLine(err.Error()); text != "" {
		fmt.Fprintf(w, "ftpfs: %s\n", text)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailure
}

// oneLine replaces line ends and other control characters, which a server's
// reply may hold, by spaces.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
}

// connectError says why the server at cfg cannot be used.
func connectError(cfg conn.Config, err error) error {
	text := fmt.Sprintf("cannot use %s: %v", cfg.Redacted(), err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, conn.ErrLogin):
		text = fmt.Sprintf("%s refuses the login of %s: %v; %s", cfg.Host, cfg.User, err, loginAdvice(cfg.HasPassword))
	case errors.Is(err, conn.ErrNeedTLS):
		text = fmt.Sprintf("%s demands TLS: write ftpes:// or leave --tls=off and --tls-data=clear away (%v)", cfg.Host, err)
	case errors.Is(err, conn.ErrNoTLS):
		text = fmt.Sprintf("no encryption with %s: %v; %s", cfg.Address(), err, noTLSAdvice(cfg))
	case errors.Is(err, conn.ErrCertificate):
		text = fmt.Sprintf("%v; %s", err, certAdvice(cfg, err))
	case errors.Is(err, conn.ErrResumption):
		text = fmt.Sprintf("files of %s cannot be reached: %v", cfg.Host, err)
	case errors.Is(err, conn.ErrTooMany):
		text = fmt.Sprintf("%s refuses more sessions: close other clients or try again later (%v)", cfg.Host, err)
	case isDNS:
		text = fmt.Sprintf("cannot find the host %s: check the name in the URL (%v)", cfg.Host, dns)
	case errors.Is(err, syscall.ECONNREFUSED):
		text = fmt.Sprintf("nothing listens at %s: check host and port, and that the server runs", cfg.Address())
	case errors.Is(err, conn.ErrTimeout):
		text = fmt.Sprintf("%s does not answer in time: check the address and firewalls, or raise --timeout (%v)", cfg.Address(), err)
	case errors.Is(err, conn.ErrHostDown):
		text = fmt.Sprintf("cannot reach %s: check the network and the address (%v)", cfg.Address(), err)
	case errors.Is(err, conn.ErrProtocol):
		text = fmt.Sprintf("%s does not speak FTP: check host and port (%v)", cfg.Address(), err)
	}
	return &exitError{code: exitConnect, text: text, cert: certificateOf(err)}
}

func noTLSAdvice(cfg conn.Config) string {
	if cfg.TLS.Mode == conn.TLSAuto {
		return "if that is right, do without by --tls=off"
	}
	return "check the port, and that the server has TLS"
}

// certAdvice says what can be done about a certificate that is not accepted.
func certAdvice(cfg conn.Config, err error) string {
	c, ok := errors.AsType[*conn.CertError](err)
	switch {
	case !ok:
		return "check " + cfg.TLS.Known
	case len(cfg.TLS.Pins) > 0:
		return "somebody may be in between; if the change is right, change --tls-pin"
	case c.Changed:
		return fmt.Sprintf("somebody may be in between; if the change is right, remove the line of %s from %s", c.Address, cfg.TLS.Known)
	}
	return "if it is the right one, use --tls-pin " + c.Fingerprint + ", or --tls-ca"
}

func loginAdvice(hasPassword bool) string {
	if hasPassword {
		return "check user and password"
	}
	return "give a password by --password-file, $FTPFS_PASSWORD or ~/.netrc"
}

// rootError says why the directory of the URL cannot be mounted.
func rootError(cfg conn.Config, err error) error {
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return failf("the server has no directory %s: check the path in the URL", cfg.Redacted())
	case errors.Is(err, conn.ErrNotDir):
		return failf("%s is not a directory: mount the directory that holds it", cfg.Redacted())
	case errors.Is(err, iofs.ErrPermission):
		return failf("the server does not let %s into %s: check the path and its permissions", cfg.User, cfg.Redacted())
	}
	return connectError(cfg, err)
}
