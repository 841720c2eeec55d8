// The secret stands behind the #, which no server sees. It is taken out of the address, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
document.getElementById("token").value = token;
document.getElementById(token ? "ask" : "incomplete").hidden = false;
