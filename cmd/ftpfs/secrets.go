package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ftpfs/conn"

	"github.com/jdx/go-netrc"
	"golang.org/x/term"
)

const (
	anonymous   = "anonymous" // conn.ParseURL's user where the URL names none
	maxPassword = 4096        // bytes of a password file's first line
	passwordEnv = "FTPFS_PASSWORD"
)

// secrets finds the password of a mount. Its fields are the sources besides
// the URL and the password file, so that tests can stand in for them.
type secrets struct {
	getenv func(string) string
	prompt func(question string) (string, error) // nil: nobody can be asked
	notice func(string)                          // tells the user one line
}

// find puts the password into cfg from the first source that has it: the
// password file, the URL, $FTPFS_PASSWORD, netrc, the terminal. Where none has
// it, cfg.HasPassword stays false. An anonymous login, that is a URL without a
// user, has the password that such logins have.
func (s secrets) find(ctx context.Context, cfg *conn.Config, file string) error {
	if file != "" && cfg.User == anonymous {
		return usagef("--password-file is of no use to an anonymous login: name a user in the URL, ftp://USER@%s/", cfg.Host)
	}
	switch p, err := s.first(ctx, *cfg, file); {
	case errors.Is(err, errNoPassword):
	case err != nil:
		return err
	default:
		cfg.Password, cfg.HasPassword = p, true
	}
	return nil
}

// errNoPassword says that no source has a password and nobody can be asked.
var errNoPassword = errors.New("no password")

func (s secrets) first(ctx context.Context, cfg conn.Config, file string) (string, error) {
	if file != "" {
		return readPassword(file)
	}
	if cfg.HasPassword {
		return cfg.Password, nil
	}
	if p := s.getenv(passwordEnv); p != "" {
		return p, nil
	}
	if p, ok := s.fromNetrc(cfg.Host, cfg.User); ok {
		return p, nil
	}
	if s.prompt == nil || ctx.Err() != nil {
		return "", errNoPassword
	}
	p, err := s.prompt(fmt.Sprintf("Password of %s at %s: ", cfg.User, cfg.Host))
	if err != nil {
		return "", failf("no password was given (%v): type one or use --password-file", err)
	}
	return p, nil
}

// readPassword returns the first line of a file without its line end.
func readPassword(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", failf("cannot read the password file: %v; check --password-file", err)
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxPassword)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", failf("cannot read the password file: %v; check --password-file", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", failf("the password file %s is empty: write the password into its first line", name)
	}
	return line, nil
}

// fromNetrc looks into $NETRC or ~/.netrc. A file that others can read is left
// alone, as ssh does with keys: a secret that everybody can read is a mistake,
// and to use it in silence hides it.
func (s secrets) fromNetrc(host, user string) (string, bool) {
	name := s.getenv("NETRC")
	if name == "" {
		home := s.getenv("HOME")
		if home == "" {
			return "", false
		}
		name = filepath.Join(home, ".netrc")
	}
	st, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", false
	}
	var text []byte
	if err == nil && st.Mode().Perm()&0o077 != 0 {
		s.notice(fmt.Sprintf("%s is not used because others can read it: chmod 600 %s", name, name))
		return "", false
	}
	if err == nil {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		s.notice(fmt.Sprintf("%s is not used: %v", name, err))
		return "", false
	}
	entries, err := parseNetrc(string(text))
	if err != nil {
		s.notice(fmt.Sprintf("%s is not used: %v", name, err))
		return "", false
	}
	return netrcPassword(entries, host, user)
}

// parseNetrc guards the library, which indexes behind the end of a file that
// stops in the middle of an entry.
func parseNetrc(text string) (m netrc.Machines, err error) {
	defer func() {
		if recover() != nil {
			err = netrc.ErrInvalidNetrc
		}
	}()
	parsed, err := netrc.ParseString(text)
	if err != nil {
		return nil, err
	}
	return parsed.Machines(), nil
}

// netrcPassword returns the password of the first entry that fits: one for
// host with that login or with none, or the default one.
func netrcPassword(entries netrc.Machines, host, user string) (string, bool) {
	for _, m := range entries {
		if !m.IsDefault && !strings.EqualFold(m.Name, host) {
			continue
		}
		if login := m.Get("login"); login != "" && login != user {
			continue
		}
		if p := m.Get("password"); p != "" {
			return p, true
		}
	}
	return "", false
}

// terminalPrompt asks on the terminal in, without echo, until ctx ends. It
// returns nil if in is no terminal.
func terminalPrompt(ctx context.Context, in *os.File, out io.Writer) func(string) (string, error) {
	if in == nil || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	return func(question string) (string, error) {
		fd := int(in.Fd())
		before, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		fmt.Fprint(out, question)
		defer fmt.Fprintln(out)
		type answer struct {
			text []byte
			err  error
		}
		answers := make(chan answer, 1)
		go func() {
			text, err := term.ReadPassword(fd)
			answers <- answer{text, err}
		}()
		select {
		case a := <-answers:
			return string(a.text), a.err
		case <-ctx.Done(): // the read cannot be ended, but its "no echo" can
			return "", errors.Join(ctx.Err(), term.Restore(fd, before))
		}
	}
}
