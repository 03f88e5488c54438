package ftp

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"ftpfs/conn"
)

// parseUnix parses one line of LIST in the format of ls -l:
//
//	-rw-r--r--   1 lab      users       10 Nov 22 21:26 name
//	lrwxrwxrwx   1 lab      users        4 Nov 22  2023 link -> target
//
// Between permissions and date, servers differ in columns: the date is found
// first, the size stands before it, and what is left is links, owner and
// group as far as they are there. The name begins exactly one space behind
// the date, so that it may begin with spaces itself. Times are the server's,
// read as UTC; one without a year is the nearest to now, for servers leave
// the year out up to half a year back and some also ahead.
func parseUnix(line string, now time.Time) (conn.Entry, error) {
	if total, ok := strings.CutPrefix(line, "total "); ok && isDigits(strings.TrimSpace(total)) {
		return conn.Entry{}, errSkip
	}
	e, rest, err := parsePermissions(line)
	if err != nil {
		return conn.Entry{}, err
	}
	device := line[0] == 'b' || line[0] == 'c'
	var columns [16]span
	n := splitColumns(rest, columns[:])
	for i := 1; i < n; i++ { // columns[i] may begin the date
		size := strings.ReplaceAll(columns[i-1].of(rest), ",", "")
		if !isDigits(size) {
			continue
		}
		d, ok := parseDate(rest, columns[i:n], now)
		if !ok {
			continue
		}
		setTime(&e, d.time, d.precision)
		owners := columns[:i-1]
		if e.Size = parseSize(size); device { // "1, 3" in place of a size
			e.Size = 0
			if last := len(owners) - 1; last >= 0 && strings.HasSuffix(owners[last].of(rest), ",") {
				owners = owners[:last]
			}
		}
		setOwners(&e, rest, owners)
		return nameAndTarget(e, rest[d.end:])
	}
	return conn.Entry{}, fmt.Errorf("%w: no size and date", errUnparsed)
}

// parsePermissions reads "drwxr-sr-x" and a mark of an ACL or a security
// context behind it ("+", "." or "@").
func parsePermissions(line string) (e conn.Entry, rest string, err error) {
	const length = len("drwxr-xr-x")
	perm, rest, ok := strings.Cut(line, " ")
	if !ok || len(perm) != length && (len(perm) != length+1 || strings.IndexByte("+.@*", perm[length]) < 0) {
		return e, "", fmt.Errorf("%w: no permissions", errUnparsed)
	}
	switch perm[0] {
	case '-':
		e.Kind = conn.KindFile
	case 'd':
		e.Kind = conn.KindDir
	case 'l':
		e.Kind = conn.KindSymlink
	case 'b', 'c', 'p', 's', 'D':
		e.Kind = conn.KindOther
	default:
		return e, "", fmt.Errorf("%w: type %q", errUnparsed, perm[0])
	}
	special := [3]fs.FileMode{fs.ModeSetuid, fs.ModeSetgid, fs.ModeSticky}
	for i, c := range []byte(perm[1:length]) {
		bit := fs.FileMode(0o400) >> i
		execute := i%3 == 2
		switch {
		case c == '-':
		case c == "rwx"[i%3]:
			e.Mode |= bit
		case execute && c == "sst"[i/3]:
			e.Mode |= bit | special[i/3]
		case execute && (c == "SST"[i/3] || c == 'l' || c == 'L'): // Solaris: l is mandatory locking
			e.Mode |= special[i/3]
		default:
			return e, "", fmt.Errorf("%w: permissions", errUnparsed)
		}
	}
	e.HasMode = true
	return e, rest, nil
}

// span is a column of a line.
type span struct{ start, end int }

func (c span) of(s string) string { return s[c.start:c.end] }

// splitColumns finds the first columns of s, as many as there is room for,
// and returns their number.
func splitColumns(s string, columns []span) int {
	n, start := 0, -1
	for i := 0; i <= len(s) && n < len(columns); i++ {
		space := i == len(s) || s[i] == ' '
		switch {
		case !space && start < 0:
			start = i
		case space && start >= 0:
			columns[n] = span{start, i}
			n, start = n+1, -1
		}
	}
	return n
}

// setOwners reads the columns before the size: links, owner and group, of
// which servers leave out the last ones, and some the first. A group may
// hold spaces.
func setOwners(e *conn.Entry, s string, columns []span) {
	if len(columns) > 0 {
		if links, ok := number(columns[0].of(s)); ok {
			e.Links = links
			columns = columns[1:]
		}
	}
	if len(columns) > 0 {
		e.Owner = columns[0].of(s)
	}
	if last := len(columns) - 1; last > 0 {
		e.Group = s[columns[1].start:columns[last].end]
	}
}

// nameAndTarget completes e with what follows the date: one space and the
// name, of a symlink with " -> " and its target. Where " -> " is there more
// than once, the size of a link, which is its target's length, tells which
// one it is.
func nameAndTarget(e conn.Entry, s string) (conn.Entry, error) {
	name, ok := strings.CutPrefix(s, " ")
	if !ok {
		return conn.Entry{}, fmt.Errorf("%w: no name", errUnparsed)
	}
	if e.Kind == conn.KindSymlink {
		const arrow = " -> "
		if i := len(name) - len(arrow) - int(min(e.Size, maxLine)); e.Size >= 0 && i > 0 && strings.HasPrefix(name[i:], arrow) {
			return named(withTarget(e, name[i+len(arrow):]), name[:i])
		}
		if link, target, ok := strings.Cut(name, arrow); ok {
			return named(withTarget(e, target), link)
		}
	}
	return named(e, name)
}

func withTarget(e conn.Entry, target string) conn.Entry {
	e.Target = target
	return e
}

// listDate is the date of a line of ls -l.
type listDate struct {
	time      time.Time // zero if it is none of the calendar
	precision time.Duration
	end       int // where it ends in the line
}

// parseDate reads the date that begins with the first of the columns of s:
// "Nov 22 21:26", "Nov 22 2023", the same with the day before the month,
// "Nov 22 21:26:09 2023" (ls -T of BSD) or "2026-11-22 21:26", with seconds and zone
// or without (full-iso and long-iso of GNU).
func parseDate(s string, columns []span, now time.Time) (listDate, bool) {
	if len(columns) < 2 {
		return listDate{}, false
	}
	first, second := columns[0].of(s), columns[1].of(s)
	if len(first) == len("2026-11-22") && first[4] == '-' && first[7] == '-' {
		return parseISO(s, columns)
	}
	month, ok := parseMonth(first)
	dayText := second
	if !ok {
		if month, ok = parseMonth(second); !ok {
			return listDate{}, false
		}
		dayText = strings.TrimSuffix(first, ".")
	}
	dayOfMonth, ok := number(dayText)
	if !ok || len(dayText) > 2 || len(columns) < 3 {
		return listDate{}, false
	}
	third := columns[2].of(s)
	if year, ok := number(third); ok && len(third) == 4 {
		return listDate{date(year, month, dayOfMonth, 0, 0, 0), 24 * time.Hour, columns[2].end}, true
	}
	if hour, minute, ok := parseClock(third); ok {
		return listDate{nearest(now, month, dayOfMonth, hour, minute), time.Minute, columns[2].end}, true
	}
	hour, minute, seconds, ok := parseSeconds(third)
	if !ok || len(columns) < 4 {
		return listDate{}, false
	}
	year, ok := number(columns[3].of(s))
	return listDate{date(year, month, dayOfMonth, hour, minute, seconds), time.Second, columns[3].end}, ok
}

// parseISO reads "2026-11-22 21:26" or "2026-11-22 21:26:09[.123456789][ +0900]".
func parseISO(s string, columns []span) (listDate, bool) {
	first, clock := columns[0].of(s), columns[1].of(s)
	year, okYear := number(first[:4])
	month, okMonth := number(first[5:7])
	dayOfMonth, okDay := number(first[8:])
	if !okYear || !okMonth || !okDay {
		return listDate{}, false
	}
	d := listDate{precision: time.Minute, end: columns[1].end}
	hour, minute, ok := parseClock(clock)
	second := 0
	if !ok {
		clock, _, _ = strings.Cut(clock, ".")
		if hour, minute, second, ok = parseSeconds(clock); !ok {
			return listDate{}, false
		}
		d.precision = time.Second
	}
	d.time = date(year, time.Month(month), dayOfMonth, hour, minute, second)
	if d.precision == time.Second && len(columns) > 2 { // without seconds "+0900" is a name
		if east, ok := parseZone(columns[2].of(s)); ok {
			d.end = columns[2].end
			if !d.time.IsZero() {
				d.time = d.time.Add(-east)
			}
		}
	}
	return d, true
}

// parseSeconds reads "21:26:09".
func parseSeconds(s string) (hour, minute, second int, ok bool) {
	if len(s) != len("21:26:09") || s[5] != ':' {
		return 0, 0, 0, false
	}
	hour, minute, okClock := parseClock(s[:5])
	second, okSecond := number(s[6:])
	return hour, minute, second, okClock && okSecond && second <= 60
}

// parseZone reads "+0900", the time east of UTC.
func parseZone(s string) (east time.Duration, ok bool) {
	if len(s) != len("+0900") || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	n, ok := number(s[1:])
	if east = time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute; s[0] == '-' {
		east = -east
	}
	return east, ok
}

// parseMonth reads the English abbreviation of a month.
func parseMonth(s string) (time.Month, bool) {
	const months = "JanFebMarAprMayJunJulAugSepOctNovDec"
	if len(s) != 3 {
		return 0, false
	}
	for i := 0; i < len(months); i += 3 {
		if strings.EqualFold(s, months[i:i+3]) {
			return time.Month(i/3 + 1), true
		}
	}
	return 0, false
}

// nearest gives a day without a year the year that brings it nearest to now.
func nearest(now time.Time, month time.Month, day, hour, minute int) time.Time {
	var best time.Time
	for year := now.UTC().Year() - 1; year <= now.UTC().Year()+1; year++ {
		t := date(year, month, day, hour, minute, 0)
		if !t.IsZero() && (best.IsZero() || t.Sub(now).Abs() < best.Sub(now).Abs()) {
			best = t
		}
	}
	return best
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
