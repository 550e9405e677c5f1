// Every browser has JSON itself; this file is here for pages that load it.
