package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ftpfs/conn"

	"golang.org/x/term"
)

// unknownCert is a certificate that a user may accept.
type unknownCert struct {
	Server      string `json:"server"` // as conn.KnownCerts has it
	Fingerprint string `json:"fingerprint"`
	Subject     string `json:"subject"`
	Reason      string `json:"reason"`
}

// certificateOf returns the certificate that err is about, if a user may
// accept it: a changed one takes more than a yes.
func certificateOf(err error) *unknownCert {
	c, ok := errors.AsType[*conn.CertError](err)
	if !ok || c.Changed {
		return nil
	}
	return &unknownCert{Server: c.Address, Fingerprint: c.Fingerprint, Subject: c.Subject, Reason: c.Err.Error()}
}

// certificates asks the user about unknown certificates.
type certificates struct {
	ask   func(question string) (string, error) // nil: nobody can be asked
	known conn.KnownCerts
}

// retry runs start, and once more if it failed of a certificate that the user
// then accepts. That is remembered.
func (c certificates) retry(start func() error) error {
	err := start()
	told, ok := errors.AsType[*exitError](err)
	if !ok || told.cert == nil || c.ask == nil {
		return err
	}
	cert := told.cert
	answer, asked := c.ask(fmt.Sprintf("The certificate of %s is not known (%s).\n  %s\n  %s\nTrust it from now on (yes/no)? ",
		cert.Server, oneLine(cert.Reason), oneLine(cert.Subject), cert.Fingerprint))
	if asked != nil || strings.ToLower(strings.TrimSpace(answer)) != "yes" {
		return err
	}
	if err := c.known.Remember(cert.Server, cert.Fingerprint, cert.Subject); err != nil {
		return failf("the certificate cannot be remembered: %v; use --tls-pin %s", err, cert.Fingerprint)
	}
	return start()
}

// terminalQuestion asks on the terminal in, until ctx ends. It returns nil if
// in is no terminal.
func terminalQuestion(ctx context.Context, in *os.File, out io.Writer) func(string) (string, error) {
	if in == nil || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	return func(question string) (string, error) {
		fmt.Fprint(out, question)
		type answer struct {
			text string
			err  error
		}
		answers := make(chan answer, 1)
		go func() {
			text, err := bufio.NewReader(in).ReadString('\n')
			answers <- answer{text, err}
		}()
		select {
		case a := <-answers:
			return a.text, a.err
		case <-ctx.Done(): // the read cannot be ended
			return "", ctx.Err()
		}
	}
}
