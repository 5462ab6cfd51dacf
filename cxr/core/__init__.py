"""What every stage needs: configuration, files, parallel work, progress, errors."""
