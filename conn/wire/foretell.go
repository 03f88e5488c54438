package wire

// Foretell has lines sent together as soon as the first of them is to be sent:
// the open verb is about to send the others next, in this order, and will then
// find their answers. What turns out differently costs nothing but the answers.
func (c *Control) Foretell(lines ...string) { c.plan = lines }

// say sends as many of the lines as go into one packet, unless they are on
// their way already, and returns how many answers to await.
func (c *Control) say(lines []string) (n int, err error) {
	if len(c.plan) > 0 && c.plan[0] == lines[0] {
		plan := c.plan
		c.plan = nil
		if err := c.send(plan...); err != nil {
			return 0, err
		}
		c.foretold = plan
		c.warmUp()
	}
	for n < len(lines) && n < len(c.foretold) && lines[n] == c.foretold[n] {
		n++
	}
	if n > 0 {
		c.foretold = c.foretold[n:]
		return n, nil
	}
	n = c.packetOf(lines)
	return n, c.send(lines[:n]...)
}

// forget takes the answers to what was foretold and did not come true.
func (c *Control) forget() error {
	lines := c.foretold
	c.foretold = nil
	for _, l := range lines {
		if _, err := c.answer(l); err != nil {
			return err
		}
	}
	return nil
}
