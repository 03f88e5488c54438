package ftp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ftpfs/conn"
)

const (
	maxLine    = 64 << 10 // bytes of a line of a listing that are read; longer ones are refused
	maxRefused = 10       // lines that a Listing quotes
	maxQuoted  = 200      // bytes of each
	earlyBatch = 500      // entries that are handed out at once
	maxEntries = 2 << 20  // of a listing; what comes behind is not read
	maxListing = 1 << 30  // bytes of a listing, likewise
)

// What a parser says of a line that gives no entry. Names that cannot be used
// are conn.ErrInvalidName or conn.ErrNameTooLong instead.
var (
	errSkip     = errors.New("no entry") // "total 48", "." and "..": not worth a word
	errUnparsed = errors.New("not understood")
	errEndless  = errors.New("the listing does not end")
)

// readListing reads a listing to its end, line by line; lines end with LF or
// CRLF, and blank ones mean nothing. parse turns a line into an entry, whose
// strings may share the line's memory.
//
// No line hides another: what cannot be read is counted in NRefused and the
// first of it quoted in Refused. A line that is not understood may be a name,
// so that Complete is false then. It stays true where only a name was refused
// that nobody can ask for, or that was there already. The error is r's; the
// Listing then holds what came before it and is not complete.
func readListing(r io.Reader, parse func(line string) (conn.Entry, error)) (conn.Listing, error) {
	return newCollector(nil).read(r, parse)
}

// newCollector returns a collector; early, which may be nil, gets entries while
// they come.
func newCollector(early func([]conn.Entry)) *collector {
	return &collector{
		listing: conn.Listing{Complete: true}, early: early, most: maxEntries,
		names: map[string]struct{}{}, shared: map[string]string{},
	}
}

// read is readListing. errEndless is the error of a listing that is too long.
func (l *collector) read(r io.Reader, parse func(line string) (conn.Entry, error)) (conn.Listing, error) {
	bounded := &io.LimitedReader{R: r, N: maxListing}
	lines := bufio.NewReaderSize(bounded, maxLine)
	for {
		line, long, err := readLine(lines)
		switch {
		case bounded.N <= 0 || l.listing.Len() >= l.most:
			l.listing.Complete = false
			return l.listing, errEndless
		case err != nil && !errors.Is(err, io.EOF): // line is cut: it may be another name than it seems
			l.listing.Complete = false
			return l.listing, err
		case long:
			l.refuse(string(line[:maxQuoted]), errUnparsed)
		case strings.TrimSpace(string(line)) != "":
			s := string(line)
			e, err := parse(s)
			l.add(s, e, err)
		}
		if err != nil {
			return l.listing, nil
		}
	}
}

// readLine returns the next line without its end, valid until the next call.
// Of a line longer than r's buffer it returns a part, and that it is long.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	line, err = r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = append([]byte(nil), line[:maxQuoted]...)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		return line, true, err
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	return line, false, err
}

// collector builds a Listing.
type collector struct {
	listing conn.Listing
	most    int                 // entries
	early   func([]conn.Entry)  // gets entries in batches; may be nil
	kept    int                 // of listing.Entries that early does not get
	batch   []conn.Entry        // that early got last, to be used again
	names   map[string]struct{} // of all entries
	shared  map[string]string   // owners, groups and the like: a few values in many entries
}

// add takes what the parser made of a line.
func (l *collector) add(line string, e conn.Entry, err error) {
	switch {
	case errors.Is(err, errSkip):
		return
	case err != nil:
		l.refuse(line, err)
		return
	}
	if _, twice := l.names[e.Name]; twice {
		l.refuse(line, conn.ErrInvalidName)
		return
	}
	e.Name, e.Target = strings.Clone(e.Name), strings.Clone(e.Target)
	e.Owner, e.Group, e.Perm = l.share(e.Owner), l.share(e.Group), l.share(e.Perm)
	l.names[e.Name] = struct{}{}
	l.listing.Entries = append(l.listing.Entries, e)
	l.giveEarly()
}

// giveEarly hands out the entries of a large listing. Links without a target
// stay: LIST tells it later.
func (l *collector) giveEarly() {
	kept, come := l.listing.Entries[:l.kept], l.listing.Entries[l.kept:]
	if l.early == nil || len(come) < earlyBatch || l.listing.Len() <= conn.EarlyFrom {
		return
	}
	some := l.batch[:0]
	for _, e := range come {
		if isBareLink(e) {
			kept = append(kept, e)
		} else {
			some = append(some, e)
		}
	}
	l.early(some)
	l.listing.Early += len(some)
	l.listing.Entries, l.kept, l.batch = kept, len(kept), some
}

// share returns s in memory of its own, the same for equal strings.
func (l *collector) share(s string) string {
	if t, ok := l.shared[s]; ok {
		return t
	}
	s = strings.Clone(s)
	l.shared[s] = s
	return s
}

// refuse counts and quotes a line.
func (l *collector) refuse(line string, err error) {
	l.listing.NRefused++
	if len(l.listing.Refused) < maxRefused {
		l.listing.Refused = append(l.listing.Refused, quote(line))
	}
	if !errors.Is(err, conn.ErrInvalidName) && !errors.Is(err, conn.ErrNameTooLong) {
		l.listing.Complete = false
	}
}

// quote makes a line fit for a log: at most maxQuoted bytes, all printable.
func quote(line string) string {
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}
	return strings.Map(printable, strings.ToValidUTF8(line[:min(len(line), maxQuoted)], "?"))
}

// parseLIST parses one line of LIST in whatever format it is: that of ls -l,
// that of MS-DOS's dir as IIS has it, or EPLF. now serves to find the year.
func parseLIST(line string, now time.Time) (conn.Entry, error) {
	if line != "" && '0' <= line[0] && line[0] <= '9' {
		return parseDOS(line)
	}
	if strings.HasPrefix(line, "+") {
		return parseEPLF(line)
	}
	return parseUnix(line, now)
}

// named completes e with its name, which every parser finds last.
func named(e conn.Entry, name string) (conn.Entry, error) {
	if name == "." || name == ".." {
		return conn.Entry{}, errSkip
	}
	if name == "" {
		return conn.Entry{}, fmt.Errorf("%w: no name", errUnparsed)
	}
	if err := conn.CheckName(name); err != nil {
		return conn.Entry{}, err
	}
	e.Name = name
	return e, nil
}

// parseSize reads a size in bytes, -1 if it is none: it has digits only, and
// no file is larger than 2^62.
func parseSize(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > 1<<62 {
		return -1
	}
	return int64(n)
}

// number reads 1 to 9 decimal digits.
func number(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int(d)
	}
	return n, true
}

// Years that a server's clock may have; others are taken for a mistake.
const (
	minYear = 1970
	maxYear = 2200
)

// date returns the time in UTC, zero for a day that is not in the calendar or
// a year out of bounds. A leap second is the next minute's first.
func date(year int, month time.Month, day, hour, minute, second int) time.Time {
	if year < minYear || year > maxYear || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}
	}
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if t.Month() != month || t.Day() != day {
		return time.Time{}
	}
	return t.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
}

// setTime sets the time of an entry, if it is known, with its precision.
func setTime(e *conn.Entry, t time.Time, precision time.Duration) {
	if !t.IsZero() {
		e.Time, e.Precision = t, precision
	}
}
