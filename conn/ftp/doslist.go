package ftp

import (
	"fmt"
	"strings"
	"time"

	"ftpfs/conn"
)

// parseDOS parses one line of LIST in the format of MS-DOS's dir, which IIS
// sends unless it is told otherwise:
//
//	11-22-26  09:26PM       <DIR>          name
//	11-22-2026  21:26               1234 name
//
// The date is month, day and year in two or four digits (70 to 99 are the
// last century's), the time the server's own, read as UTC. A name begins one
// space after a size and ten after a mark, which has a column as wide. Marks
// other than <DIR> are links.
func parseDOS(line string) (conn.Entry, error) {
	day, rest := nextColumn(line)
	clock, rest := nextColumn(rest)
	size, rest := nextColumn(rest)
	t, err := parseDOSTime(day, clock)
	if err != nil {
		return conn.Entry{}, err
	}
	e := conn.Entry{Size: -1}
	setTime(&e, t, time.Minute)
	if strings.HasPrefix(size, "<") && strings.HasSuffix(size, ">") {
		const width = len("<DIR>          ")
		pad := max(width-len(size), 1)
		name := strings.TrimLeft(rest, " ")
		if len(rest)-len(name) > pad {
			name = rest[pad:]
		}
		if size == "<DIR>" {
			e.Kind = conn.KindDir
			return named(e, name)
		}
		e.Kind = conn.KindSymlink
		if link, target, ok := strings.Cut(name, " ["); ok && strings.HasSuffix(target, "]") {
			name, e.Target = link, target[:len(target)-1]
		}
		return named(e, name)
	}
	size = strings.ReplaceAll(size, ",", "")
	if !isDigits(size) {
		return conn.Entry{}, fmt.Errorf("%w: no size", errUnparsed)
	}
	e.Kind, e.Size = conn.KindFile, parseSize(size)
	name, ok := strings.CutPrefix(rest, " ")
	if !ok {
		return conn.Entry{}, fmt.Errorf("%w: no name", errUnparsed)
	}
	return named(e, name)
}

// nextColumn returns what is before the next space, spaces in front dropped,
// and the rest with that space.
func nextColumn(s string) (column, rest string) {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// parseDOSTime reads "11-22-26" and "09:26PM" or "21:26". What has the form
// but is no time is the zero time.
func parseDOSTime(day, clock string) (time.Time, error) {
	parts := strings.Split(strings.ReplaceAll(day, "/", "-"), "-")
	if len(parts) != 3 {
		return time.Time{}, fmt.Errorf("%w: no date", errUnparsed)
	}
	if len(parts[0]) == 4 { // year first
		parts[0], parts[1], parts[2] = parts[1], parts[2], parts[0]
	}
	month, okMonth := number(parts[0])
	d, okDay := number(parts[1])
	year, okYear := number(parts[2])
	if !okMonth || !okDay || !okYear {
		return time.Time{}, fmt.Errorf("%w: no date", errUnparsed)
	}
	if len(parts[2]) == 2 {
		if year += 1900; year < minYear {
			year += 100
		}
	}
	pm, half := false, false
	if n := len(clock) - 2; n > 0 {
		switch strings.ToUpper(clock[n:]) {
		case "AM":
			clock, half = clock[:n], true
		case "PM":
			clock, half, pm = clock[:n], true, true
		}
	}
	hour, minute, ok := parseClock(clock)
	if !ok || half && (hour < 1 || hour > 12) {
		return time.Time{}, fmt.Errorf("%w: no time", errUnparsed)
	}
	if half {
		if hour %= 12; pm {
			hour += 12
		}
	}
	return date(year, time.Month(month), d, hour, minute, 0), nil
}

// parseClock reads "21:26".
func parseClock(s string) (hour, minute int, ok bool) {
	h, m, ok := strings.Cut(s, ":")
	if !ok || len(h) > 2 || len(m) != 2 {
		return 0, 0, false
	}
	hour, okHour := number(h)
	minute, okMinute := number(m)
	return hour, minute, okHour && okMinute && hour < 24 && minute < 60
}
