"""What others read: results written in forms that are not our own."""
