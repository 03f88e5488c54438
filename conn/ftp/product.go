package ftp

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// product is what is known of a server by the program that it runs, as far as
// no reply of it tells. The zero value but for limit is any other server's.
type product struct {
	limit      int  // bytes that a command may have without its end
	namesLinks bool // MLSD says which names are symlinks
	goesBack   bool // MLSD ends in the directory that was current, and the session if that is gone
	mapsNames  bool // control characters, and spaces at the end of new names, become underscores
	onlyUTF8   bool // other bytes in names become U+FFFD
	inOrder    bool // it takes the login in one packet, and answers what comes with it in order
	manners    wire.Manners
}

// productOf recognizes a server by its greeting. BSD's ftpd splits commands of
// more than 508 bytes and takes the tail for another command, so only servers
// that are known get more.
func productOf(greeting wire.Reply) product {
	text := strings.ToLower(greeting.Text())
	ordered := wire.Manners{Warm: true, Ahead: true, DataFirst: true}
	aborts := ordered
	aborts.Abort = true
	early := ordered
	early.Ahead = false // it answers commands during a transfer, and EPSV ends it
	for name, p := range map[string]product{
		"proftpd":          {limit: 4000, inOrder: true, manners: ordered, namesLinks: true},
		"vsftpd":           {limit: 4000, inOrder: true, manners: ordered}, // has no MLSD
		"pure-ftpd":        {limit: 4000, inOrder: true, manners: aborts, namesLinks: true, goesBack: true, mapsNames: true},
		"pyftpdlib":        {limit: 2000, inOrder: true, manners: early, onlyUTF8: true},
		"inetutils":        {limit: 508, inOrder: true, manners: ordered},
		"ftpfs ftp server": {limit: 508, inOrder: true, manners: ordered, namesLinks: true}, // ours, of the demo
	} {
		if strings.Contains(text, name) {
			return p
		}
	}
	return product{limit: 508, manners: wire.Manners{Warm: true}}
}

// check refuses paths that the server would take for others.
func (p product) check(path string) error {
	switch {
	case p.mapsNames && strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: this server changes control characters", conn.ErrInvalidName)
	case p.onlyUTF8 && !utf8.ValidString(path):
		return fmt.Errorf("%w: this server takes UTF-8 only", conn.ErrInvalidName)
	}
	return nil
}

// checkNew refuses paths that the server would create under another name, for
// the verb op. Files that have such a name can be read and removed.
func (s *session) checkNew(op, path string) error {
	if !s.product.mapsNames || !strings.HasSuffix(path, " ") {
		return nil
	}
	err := fmt.Errorf("%w: this server changes a space at the end", conn.ErrInvalidName)
	return &conn.Error{Op: op, Path: path, Outcome: conn.Refused, Err: err}
}
