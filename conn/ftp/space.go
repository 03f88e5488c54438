package ftp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// Space implements conn.Session with AVBL
// (draft-peterson-streamlined-ftp-command-extensions-10, 4), else XQUOTA or
// SITE QUOTA, where FEAT or SITE HELP has them.
func (s *session) Space(ctx context.Context, dir string) (conn.Space, error) {
	end, err := s.begin(ctx, "AVBL", dir)
	if err != nil {
		return conn.Space{}, err
	}
	defer end()
	switch {
	case s.feat.has("AVBL") && !s.srv.lacks("AVBL"):
		return s.space("AVBL", "AVBL "+dir, parseAVBL)
	case s.feat.has("XQUOTA") && !s.srv.lacks("XQUOTA"):
		return s.space("XQUOTA", "XQUOTA", parseXQUOTA)
	}
	offered, err := s.offers("QUOTA")
	if err != nil || !offered {
		return conn.Space{}, errors.Join(err, unsupported("SITE QUOTA", ""))
	}
	return s.space("SITE QUOTA", "SITE QUOTA", parseSiteQuota)
}

// space asks a question about space; parse makes nothing of an answer that sets no
// bounds.
func (s *session) space(verb, line string, parse func(wire.Reply) (conn.Space, bool)) (conn.Space, error) {
	r, err := s.ctl.Command(line)
	if err != nil {
		return conn.Space{}, at(verb, "", conn.NotExecuted, err)
	}
	if s.srv.lack(verb, r) {
		return conn.Space{}, unsupported(verb, "")
	}
	if err := s.refusal(verb, "", r); err != nil {
		return conn.Space{}, err
	}
	space, ok := parse(r)
	if !ok {
		return conn.Space{}, &conn.Error{Op: verb, Code: r.Code, Msg: r.Text(), Outcome: conn.Refused, Err: fmt.Errorf("%w: it tells no bounds", errors.ErrUnsupported)}
	}
	return space, nil
}

// parseAVBL reads "213 1234567", in bytes.
func parseAVBL(r wire.Reply) (conn.Space, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(r.Text()), 10, 64)
	return conn.Space{Free: n}, err == nil && n >= 0
}

// parseXQUOTA reads the lines "Disk usage: 1532791" and "Disk limit: 2048000" of
// WS_FTP Server, as WinSCP's source quotes it, and of ftpsrv; in bytes, or in
// the unit that follows, or "unlimited". No server here has it.
func parseXQUOTA(r wire.Reply) (conn.Space, bool) {
	used, limit := int64(-1), int64(-1)
	for _, l := range r.Lines {
		key, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(l)), ":")
		n, ok := parseBytes(value, "")
		switch {
		case ok && key == "disk usage":
			used = n
		case ok && key == "disk limit":
			limit = n
		}
	}
	return spaceOf(used, limit)
}

// parseSiteQuota reads what ProFTPD's mod_quotatab says: "Uploaded Mb:
// 5.00/20.00", where the unit may also be bytes, Kb or Gb, and "Transferred
// Mb:" for both directions together; or "unlimited", and "202 No quotas in
// effect". The bound that leaves less counts.
func parseSiteQuota(r wire.Reply) (conn.Space, bool) {
	var least conn.Space
	found := false
	for _, l := range r.Lines {
		key, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(l)), ":")
		what, unit, _ := strings.Cut(key, " ")
		before, after, ok := strings.Cut(value, "/")
		if !ok || what != "uploaded" && what != "transferred" || unit == "files" {
			continue
		}
		used, ok1 := parseBytes(before, unit)
		limit, ok2 := parseBytes(after, unit)
		if space, ok := spaceOf(used, limit); ok && ok1 && ok2 && (!found || space.Free < least.Free) {
			least, found = space, true
		}
	}
	return least, found
}

// spaceOf returns what is left of limit; ok is false if either is not known.
func spaceOf(used, limit int64) (s conn.Space, ok bool) {
	return conn.Space{Free: max(0, limit-used), Total: limit}, used >= 0 && limit > 0
}

// parseBytes reads a number of bytes, or of the unit that is given or follows
// it: Kb, MB, GiB and the like are powers of 1024.
func parseBytes(s, unit string) (int64, bool) {
	s = strings.ReplaceAll(strings.TrimSpace(s), ",", "")
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz ")
	unit = strings.TrimSpace(s[len(number):]) + unit
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case strings.HasPrefix(unit, "k"):
		n *= 1 << 10
	case strings.HasPrefix(unit, "m"):
		n *= 1 << 20
	case strings.HasPrefix(unit, "g"):
		n *= 1 << 30
	case strings.HasPrefix(unit, "t"):
		n *= 1 << 40
	case unit != "" && !strings.HasPrefix(unit, "b"):
		return 0, false
	}
	return int64(n), err == nil && n >= 0 && n < math.MaxInt64
}
