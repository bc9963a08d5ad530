package mintonce

// Version is the version of this module. Servers see it in the user agent.
const Version = "0.1.0"
