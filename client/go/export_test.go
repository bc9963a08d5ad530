package mintonce

// Lines says how many connections of a client are open, for tests.
func (c *Client) Lines() int {
	c.connection.mu.Lock()
	defer c.connection.mu.Unlock()
	return len(c.connection.lines)
}
