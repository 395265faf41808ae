"""Value types that every room shares. They import nothing of ours and no database driver."""
