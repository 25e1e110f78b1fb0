//! tmux-janitor removes dead tmux sockets and never touches a live one.
