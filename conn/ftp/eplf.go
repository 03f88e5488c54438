package ftp

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ftpfs/conn"
)

// parseEPLF parses one line of LIST in D. J. Bernstein's easily parsed format,
// of publicfile and others (cr.yp.to/ftp/list/eplf.html): a plus sign, facts
// that end with commas, a tab, the name:
//
//	+i8388621.48594,m825718503,r,s280,up644,	name
//
// "/" marks a directory, "r" a file; m is the time in seconds since 1970, UTC.
func parseEPLF(line string) (conn.Entry, error) {
	facts, name, ok := strings.Cut(line, "\t")
	if !ok || !strings.HasPrefix(facts, "+") {
		return conn.Entry{}, fmt.Errorf("%w: no tab before the name", errUnparsed)
	}
	e := conn.Entry{Kind: conn.KindOther, Size: -1}
	for fact := range strings.SplitSeq(facts[1:], ",") {
		switch {
		case fact == "/":
			e.Kind = conn.KindDir
		case fact == "r":
			e.Kind = conn.KindFile
		case strings.HasPrefix(fact, "s"):
			e.Size = parseSize(fact[1:])
		case strings.HasPrefix(fact, "m"):
			seconds, err := strconv.ParseInt(fact[1:], 10, 64)
			if t := time.Unix(seconds, 0).UTC(); err == nil && t.Year() >= minYear && t.Year() <= maxYear {
				setTime(&e, t, time.Second)
			}
		case strings.HasPrefix(fact, "up"):
			e.Mode, e.HasMode = parseMode(fact[2:])
		}
	}
	return named(e, name)
}
