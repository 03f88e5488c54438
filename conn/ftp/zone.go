package ftp

import (
	"path"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// LIST shows times in a zone that it does not name: UTC, or the server's own.
// MDTM is UTC everywhere (RFC 3659, 2.3), so that one file tells which it is.

const (
	zoneStep   = 15 * time.Minute // all zones are multiples of it
	zoneMost   = 14 * time.Hour   // from UTC, east; 12 west
	zoneTrials = 3                // files that are asked for, one in each listing, before it is taken for UTC
)

// zone returns the zone of LIST, and whether it is known.
func (v *server) zone() (*time.Location, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.listZone, v.listZone != nil
}

func (v *server) setZone(zone *time.Location) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listZone = zone
}

// tryZone counts the trials and tells whether there is one left.
func (v *server) tryZone() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.zoneTrials++
	return v.zoneTrials <= zoneTrials
}

// findZone finds the zone of LIST out by a recent file of a listing of dir,
// whose time LIST shows to the minute. A file that changes just then tells
// nothing.
func (s *session) findZone(dir string, l conn.Listing) {
	if _, known := s.srv.zone(); known || !s.feat.has("MDTM") {
		return
	}
	var recent conn.Entry
	for _, e := range l.Entries {
		if e.Kind == conn.KindFile && e.Precision == time.Minute && e.Time.After(recent.Time) {
			recent = e
		}
	}
	if recent.Name == "" || s.check("MDTM", path.Join(dir, recent.Name)) != nil {
		return
	}
	if !s.srv.tryZone() {
		s.srv.setZone(time.UTC)
		return
	}
	p := packet{s: s}
	p.add("MDTM "+path.Join(dir, recent.Name), func(r wire.Reply) {
		exact, ok := parseMDTM(r)
		if !ok {
			return
		}
		east := recent.Time.Sub(exact.Truncate(time.Minute))
		if east%zoneStep == 0 && east.Abs() <= zoneMost {
			s.srv.setZone(time.FixedZone("", int(east/time.Second)))
			s.log.Debug("the zone of LIST was found out", "east of UTC", east)
		}
	})
	_ = p.send() // the session's error is met by whoever uses it next
}

// inZone turns times that LIST shows, and that were read as UTC, into UTC.
// With seconds, they come from servers that name the zone.
func (s *session) inZone(e conn.Entry) conn.Entry {
	zone, known := s.srv.zone()
	if known && zone != time.UTC && !e.Time.IsZero() && e.Precision > time.Second {
		t := e.Time
		e.Time = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, zone).UTC()
	}
	return e
}
