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
	namesLinks bool // MLSD says which names are symlinks
	goesBack   bool // MLSD ends in the directory that was current, and the session if that is gone
	mapsNames  bool // control characters, and spaces at the end of new names, become underscores
	onlyUTF8   bool // other bytes in names become U+FFFD
	unknown    bool // what it does with names is to be found out
	shallow    bool // a path that is too long for a command ends the session, also as the current directory: 421 Path too long
	takesHost  bool // it lists HOST in FEAT
	inOrder    bool // it takes the login in one packet, and answers what comes with it in order
	manners    wire.Manners

	diesEarly   bool // it may end when a download is given up (FTP.md: one time in four)
	refusesMade bool // MKD of a directory that is there: goftp.io's answers 257
}

// productOf recognizes a server by its greeting. BSD's ftpd splits commands of
// more than 508 bytes and takes the tail for another command, so only servers
// that are known get more. RFC 959 wants 0xFF doubled: a server that does not
// know that has no file of the longer name; one that does, and gets it single,
// drops it with what follows, and takes the rest for another file.
func productOf(greeting wire.Reply) product {
	text := strings.ToLower(greeting.Text())
	ordered := func(maxLine int) wire.Manners {
		return wire.Manners{Warm: true, Ahead: true, DataFirst: true, MaxLine: maxLine}
	}
	telnet := func(m wire.Manners) wire.Manners {
		m.Telnet = true
		return m
	}
	aborts := ordered(4000)
	aborts.Abort = true
	early := ordered(2000)
	early.Ahead = false     // it answers commands during a transfer, and EPSV ends it
	early.DataFirst = false // it closes a data connection on which bytes come before it has read STOR, and waits for another one
	for name, p := range map[string]product{
		"proftpd":          {inOrder: true, manners: telnet(ordered(4000)), namesLinks: true, takesHost: true},
		"vsftpd":           {inOrder: true, manners: ordered(4000)}, // has no MLSD
		"pure-ftpd":        {inOrder: true, manners: aborts, namesLinks: true, goesBack: true, mapsNames: true, shallow: true},
		"pyftpdlib":        {inOrder: true, manners: early, onlyUTF8: true},
		"inetutils":        {inOrder: true, manners: telnet(ordered(508)), diesEarly: true},
		"ftpfs ftp server": {inOrder: true, manners: ordered(508), namesLinks: true}, // ours, of the demo
	} {
		if strings.Contains(text, name) {
			p.refusesMade = true
			return p
		}
	}
	return product{unknown: true, manners: telnet(wire.Manners{Warm: true, MaxLine: 508})}
}

// check refuses paths, as they are sent, that the server would take for others.
func (p product) check(path string) error {
	switch {
	case p.mapsNames && strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: this server changes control characters", conn.ErrInvalidName)
	case p.onlyUTF8 && !utf8.ValidString(path):
		return fmt.Errorf("%w: this server takes UTF-8 only", conn.ErrInvalidName)
	}
	return nil
}
